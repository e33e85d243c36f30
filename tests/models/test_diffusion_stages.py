"""What a diffusion model shows of itself: its samples' stages, and its loss at any level of noise."""

import diffusions
import pytest
import torch

from lit_gen.contracts import SupportsDenoise, SupportsNoise, SupportsNoiseLosses, SupportsStages
from lit_gen.functional.noise import randn
from lit_gen.functional.optimal_transport import transported
from lit_gen.models import GAN
from lit_gen.models.diffusion import Diffusion
from lit_gen.training.seeding import generators

every = pytest.mark.parametrize("name", diffusions.KINDS)


def stirred(name: str) -> Diffusion:
    model = diffusions.made(name)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def labels(model: Diffusion, num: int) -> torch.Tensor | None:
    return torch.arange(num) % diffusions.CLASSES if model.num_classes else None


@every
def test_stages_run_from_noise_to_the_samples(name: str) -> None:
    model = stirred(name)
    label, levels = labels(model, 3), model.sampler.levels(model.noise_schedule)
    stages = list(model.sample_stages(3, label, generators(0, range(3))))
    assert len(stages) == len(levels) and not any(stage.requires_grad for stage in stages)
    assert torch.equal(model.shown(stages[-1]), model.sample(3, label, generators(0, range(3))))
    z = model.latents(3, generators(0, range(3))).view(3, *model.image_shape)
    torch.testing.assert_close(stages[0], model.noise_schedule.prior_std * z)
    if not model.sampler.is_random:
        torch.testing.assert_close(stages[-1], model.generate(z.flatten(1), label))
    if label is not None:  # a label that is not given is drawn after the noise
        assert torch.equal(next(iter(model.sample_stages(3, None, generators(0, range(3))))), stages[0])


@every
def test_losses_at_levels_are_those_of_training(name: str) -> None:
    """Their mean over what training draws is its objective, where no weights are learned and no labels dropped."""
    model = stirred(name)
    model.label_dropout, model.uncertainty = 0.0, None
    image = 0.5 * torch.randn(8, *model.image_shape)
    label = labels(model, 8)
    torch.manual_seed(3)
    with torch.no_grad():
        wanted = model.objective({"image": image} | ({} if label is None else {"label": label}))
    torch.manual_seed(3)
    t = model.time_distribution.sample(8, model.noise_schedule, None, image.device)
    epsilon = randn(image.shape, None, image.device)
    epsilon = transported(image, epsilon) if model.optimal_transport else epsilon
    found = model.noise_losses(image, epsilon, t, label)
    assert found.shape == (8,) and not found.requires_grad
    torch.testing.assert_close(found.mean(), wanted)


def test_held_out_points_get_their_noise_as_in_training() -> None:
    model = stirred("points, flow matching")
    batch = next(iter(diffusions.batches(model.image_shape)))
    torch.manual_seed(3)
    found = model.held_out(batch)["loss/held_out"]
    torch.manual_seed(3)
    epsilon = transported(batch["image"], randn(batch["image"].shape, None, model.device))
    t = model.time_distribution.sample(len(epsilon), model.noise_schedule, None, model.device)
    torch.testing.assert_close(found, model.noise_losses(batch["image"], epsilon, t).mean())


def test_what_it_can_do_is_in_the_contracts() -> None:
    for contract in (SupportsNoise, SupportsDenoise, SupportsStages, SupportsNoiseLosses):
        assert isinstance(diffusions.made("ddpm"), contract)
        assert not isinstance(GAN((1, 8, 8)), contract)
