"""Diffusion models: the papers' losses, samples that depend on their own noise alone, training that can be trusted."""

import importlib.util
import inspect
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser
from pytorch_lightning import Callback, LightningModule
from torch.nn.functional import mse_loss

from lit_gen.contracts import SupportsLatents, SupportsLogProb, SupportsSample, SupportsTrajectory
from lit_gen.errors import UserError
from lit_gen.functional.bits_per_dim import bits_per_dim
from lit_gen.functional.noise import rand, randn
from lit_gen.functional.noise_schedules import LinearSchedule
from lit_gen.functional.ode_samplers import Heun
from lit_gen.functional.samplers import DDIM
from lit_gen.functional.tabulated_schedules import LinearBetas
from lit_gen.models import Diffusion
from lit_gen.training.loading import load_model, read_checkpoint
from lit_gen.training.noise_pairs import NoisePairs, draw_pairs
from lit_gen.training.recording import recorded
from lit_gen.training.seeding import derive_seed, generators

SCRIPT = Path(__file__).with_name("diffusions.py")
_spec = importlib.util.spec_from_file_location("diffusions", SCRIPT)
diffusions = importlib.util.module_from_spec(_spec)
sys.modules["diffusions"] = diffusions
_spec.loader.exec_module(diffusions)

every = pytest.mark.parametrize("name", diffusions.KINDS)


def held(model: Diffusion, num: int = 5) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Returns images and labels as a model wants them."""
    batch = next(iter(diffusions.batches(model.image_shape)))
    return batch["image"][:num], batch["label"][:num] if model.num_classes else None


def stirred(model: Diffusion, by: float = 0.05) -> Diffusion:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return model.eval()


class Gradients(Callback):
    """Looks at gradients before each step."""

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        for name, parameter in pl_module.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@every
def test_training_moves_every_parameter_by_finite_gradients(name: str, tmp_path: Path) -> None:
    model, _ = diffusions.fit(name, tmp_path, 6, callbacks=[Gradients()])
    now = dict(model.named_parameters())
    # The class of no class waits for an image whose label is dropped.
    stuck = [key for key, value in diffusions.made(name).named_parameters() if torch.equal(value, now[key])]
    assert not stuck
    assert all(value.isfinite().all() for value in now.values())


@every
def test_a_resumed_run_is_the_run_that_never_stopped(name: str, tmp_path: Path) -> None:
    whole, _ = diffusions.fit(name, tmp_path, 4)
    _, trainer = diffusions.fit(name, tmp_path, 2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = diffusions.fit(name, tmp_path, 4, ckpt_path=tmp_path / "half.ckpt")
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    loaded = Diffusion.load_from_checkpoint(tmp_path / "half.ckpt", weights_only=True)
    assert type(loaded.sampler) is type(whole.sampler) and loaded.sampler.steps == whole.sampler.steps


@every
def test_it_keeps_its_contracts(name: str) -> None:
    model = stirred(diffusions.made(name))
    image, label = held(model)
    for contract in (SupportsSample, SupportsLatents, SupportsLogProb, SupportsTrajectory):
        assert isinstance(model, contract)
    whole = model.sample(5, label, generators(0, range(5)))
    one = model.sample(1, None if label is None else label[3:4], generators(0, [3]))
    torch.testing.assert_close(one[0], whole[3], atol=1e-4, rtol=1e-3)
    assert whole.shape == (5, *model.image_shape) and whole.isfinite().all()
    assert not torch.allclose(whole[0], whole[3], atol=1e-2)
    log_prob = model.log_prob(image, label, generators(0, range(5)))
    one_log_prob = model.log_prob(image[3:4], None if label is None else label[3:4], generators(0, [3]))
    assert log_prob.shape == (5,) and not log_prob.requires_grad
    torch.testing.assert_close(one_log_prob[0], log_prob[3], rtol=1e-4, atol=1e-3)
    z = model.latents(5)
    path = model.trajectory(z, label)
    assert torch.equal(path[0], z) and len(path) == len(model.sampler.levels(model.noise_schedule))
    torch.testing.assert_close(path[-1], model.generate(z, label).flatten(1))


@every
def test_a_loss_does_not_change_with_the_size_of_the_batch(name: str) -> None:
    model = stirred(diffusions.made(name)).double()
    image, label = held(model, 6)
    image, epsilon = image.double(), torch.randn(6, *model.image_shape, dtype=torch.float64)
    t = model.noise_schedule.admissible(torch.linspace(0.1, 1, 6, dtype=torch.float64))
    whole = model.losses(image, epsilon, t, label, model.network)
    parts = [
        model.losses(image[i : i + 1], epsilon[i : i + 1], t[i : i + 1], None if label is None else label[i : i + 1],
                      model.network) for i in range(6)
    ]  # fmt: skip
    torch.testing.assert_close(torch.cat(parts), whole)


def test_the_simple_loss_is_algorithm_1() -> None:
    """‖ε − ε_θ(√ᾱ x + √(1 − ᾱ) ε, i)‖², a mean over the numbers, with i uniform over the steps."""
    model = stirred(diffusions.made("ddpm", noise_schedule=LinearBetas()))
    image, _ = held(model, 8)
    torch.manual_seed(5)
    found = model.objective({"image": image})
    torch.manual_seed(5)
    i = ((1 - rand((8,), None, image.device).double()) * 1000 - 1e-9).ceil().long()
    epsilon = randn(image.shape, None, image.device)
    bar = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)[i - 1].float().view(-1, 1, 1, 1)
    said = model.network(bar.sqrt() * image + (1 - bar).sqrt() * epsilon, i)
    torch.testing.assert_close(found, mse_loss(said, epsilon), rtol=1e-5, atol=1e-6)


def test_the_hybrid_loss_adds_the_bound_whose_gradient_is_for_the_variances_alone() -> None:
    model = stirred(diffusions.made("improved ddpm")).double()
    steps = model.noise_schedule.steps
    assert steps is not None
    image, label = held(model, 6)
    image, epsilon = image.double(), torch.randn(6, *model.image_shape, dtype=torch.float64)
    t = torch.arange(1, 7, dtype=torch.float64) / steps
    hybrid = model.losses(image, epsilon, t, label, model.network)
    model.bound_weight = 0.0
    simple = model.losses(image, epsilon, t, label, model.network)
    bound = (hybrid - simple) / 0.001
    # All terms together are the bound that `log_prob` gives, with the noise that this takes at each step.
    x, y = image[:1], None if label is None else label[:1]
    noise = torch.Generator().manual_seed(2)
    drawn = [randn(x.shape, noise, x.device).double() for _ in range(steps)]
    times = torch.arange(steps, 0, -1, dtype=torch.float64) / steps
    labels = None if y is None else y.expand(steps)
    model.bound_weight = 1.0
    many = (x.expand(steps, -1, -1, -1), torch.cat(drawn), times, labels, model.network)
    terms = model.losses(*many)
    model.bound_weight = 0.0
    terms = terms - model.losses(*many)
    with torch.no_grad():
        log_prob = model.log_prob(x, y, torch.Generator().manual_seed(2))
    level = model.noise_schedule.level(1.0)
    prior = 0.5 * ((level.alpha * x) ** 2 + level.sigma**2 - 1 - math.log(level.sigma**2)).sum()
    torch.testing.assert_close(terms.mean(), bits_per_dim(log_prob + prior, model.image_shape)[0])
    assert bound.isfinite().all()
    # The bound must not teach the mean: with it alone, the last layer's rows of ε get no gradient.
    model.zero_grad()
    model.bound_weight = 1.0
    difference = model.losses(*many).sum()
    model.bound_weight = 0.0
    (difference - model.losses(*many).sum()).backward()
    weight: Any = model.network.last.weight.grad
    channels = model.image_shape[0]
    assert weight[:channels].abs().max() < 1e-9 < weight[channels:].abs().max()


def test_guidance_goes_beyond_the_label() -> None:
    model = stirred(diffusions.made("v, guided"), 0.2)
    image, label = held(model)
    assert label is not None
    t = torch.full((5,), 0.5, dtype=torch.float64)
    with torch.no_grad():
        untold = model.process.said(model.network, image, t, torch.full_like(label, 3))[0]
        told = model.process.said(model.network, image, t, label)[0]
        for w in (0.0, 1.0, 2.5):
            wanted = model.parameterisation.parts(untold + w * (told - untold), image, t, model.noise_schedule)
            found = model.denoiser(label, w)(image, 0.5)
            torch.testing.assert_close(found.x, wanted[0])
        assert not torch.allclose(told, untold, atol=1e-4)
        assert not torch.allclose(*(model.sample(2, label[:2], generators(0, range(2)), w) for w in (1.0, 4.0)))


def test_labels_are_dropped_at_their_rate() -> None:
    model = diffusions.made("v, guided")
    seen: list[torch.Tensor] = []
    model.network.register_forward_hook(lambda module, inputs, output: seen.append(inputs[2]))
    image, label = torch.zeros(3000, *model.image_shape), torch.ones(3000, dtype=torch.int64)
    torch.manual_seed(0)
    with torch.no_grad():
        model.objective({"image": image, "label": label})
    assert set(seen[0].unique().tolist()) == {1, 3}
    assert (seen[0] == 3).float().mean().item() == pytest.approx(0.3, abs=0.03)
    with torch.no_grad():
        model.eval().held_out({"image": image[:50], "label": label[:50]})
    assert seen[1].eq(1).all()


@pytest.mark.parametrize("name", ["improved ddpm", "v, guided"])
def test_images_can_be_varied_and_completed(name: str) -> None:
    model = stirred(diffusions.made(name))
    image, label = held(model)
    near, far = (model.vary(image, strength, label, generators(0, range(5))) for strength in (0.4, 1.0))
    assert (near - image).square().mean() < (far - image).square().mean()
    known = torch.zeros(5, 1, *model.image_shape[1:], dtype=torch.bool)
    known[:, :, :3] = True
    made = model.inpaint(image, known, label, generators(0, range(5)))
    assert torch.equal(made[:, :, :3], image[:, :, :3]) and not torch.allclose(made[:, :, 3:], image[:, :, 3:])
    one = model.inpaint(image[2:3], known[2:3], None if label is None else label[2:3], generators(0, [2]))
    torch.testing.assert_close(one[0], made[2], atol=1e-4, rtol=1e-3)
    with pytest.raises(UserError, match="no step"):
        model.vary(image, 0.0, label)


def test_learned_weights_take_out_what_levels_of_noise_differ_by() -> None:
    model = diffusions.made("edm")
    image, _ = held(model)
    torch.manual_seed(0)
    before = model.objective({"image": image})
    with torch.no_grad():
        model.uncertainty.last.bias.fill_(0.7)  # type: ignore[union-attr]
    torch.manual_seed(0)
    torch.testing.assert_close(model.objective({"image": image}), before * math.exp(-0.7) + 0.7)


def test_what_a_configuration_names_keeps_its_own_defaults() -> None:
    """The parser hands a default value's settings on to the value that is named in its place."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningModule, "it", fail_untyped=False, required=True)
    for schedule, sampler in ((LinearSchedule(), Heun()), (LinearBetas(steps=1000), DDIM())):
        named = {"noise_schedule": type(schedule).__name__, "sampler": type(sampler).__name__}
        init = {"image_shape": [1, 4, 4], "num_classes": None, "network": "DenseDenoiser", **named}
        given = {"class_path": "lit_gen.models.Diffusion", "init_args": init}
        it = parser.instantiate(parser.parse_object({"it": given})).it
        assert recorded(it.noise_schedule) == recorded(schedule) and recorded(it.sampler) == recorded(sampler)


@pytest.mark.parametrize("network", ["DiT", "DenseDenoiser", "DiffusionUNet"])
def test_a_network_that_is_named_keeps_its_own_defaults(network: str) -> None:
    """None of the default's: the parser hands on what two classes' arguments agree in the names of."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningModule, "it", fail_untyped=False, required=True)
    model = ("--it", "lit_gen.models.Diffusion", "--it.image_shape", "[1, 8, 8]")
    found = parser.parse_args([*model, "--it.network", network]).it.init_args.network
    parameters = inspect.signature(getattr(importlib.import_module(found.class_path[: -len(network) - 1]), network))
    own = {name: parameters.parameters[name].default for name in vars(found.init_args)}
    assert len(own) >= 3 and {name: recorded(value) for name, value in vars(found.init_args).items()} == recorded(own)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("diffusions")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    done = subprocess.run([*torchrun, str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    ends = [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    return [{**end, "folder": folder} for end in ends]


@pytest.mark.parametrize("name", diffusions.SHARED)
def test_two_processes_stay_one_model(two_ranks: list[dict[str, Any]], name: str) -> None:
    """On unlike images and noise, parameters are the same on both."""
    first, second = (rank[name]["unlike"] for rank in two_ranks)
    start = diffusions.made(name).state_dict()
    for key, value in first.items():
        assert torch.isfinite(value).all(), key
        torch.testing.assert_close(second[key], value, atol=1e-7, rtol=0, msg=key)
    assert any(not torch.equal(value, start[key]) for key, value in first.items())


@pytest.mark.parametrize("name", diffusions.SHARED)
def test_two_processes_end_where_one_does(two_ranks: list[dict[str, Any]], name: str, tmp_path: Path) -> None:
    """Halves of the same batches, with the same times and noise: the gradient is that of all."""
    one = diffusions.fit_shares(name, tmp_path, 3, 0, 1).state_dict()
    for rank in two_ranks:
        for key, value in one.items():
            torch.testing.assert_close(rank[name]["split"][key], value, atol=1e-6, rtol=0, msg=key)
    assert not torch.allclose(one["network.last.weight"], torch.zeros(()), atol=1e-4)


def test_two_processes_draw_halves_of_reflow_s_pairs(two_ranks: list[dict[str, Any]]) -> None:
    folder = two_ranks[0]["folder"]
    teacher: Any = load_model(read_checkpoint(folder / "teacher.ckpt"), network=diffusions.DENSE)
    seed = derive_seed(teacher.run_seed, "reflow")
    wanted = draw_pairs(teacher, torch.arange(41), 500, seed, None, torch.device("cpu"))
    for found in (NoisePairs.read(folder / "pairs.npz"), *(NoisePairs(**rank["pairs"]) for rank in two_ranks)):
        assert torch.equal(found.noise, wanted.noise)
        torch.testing.assert_close(found.image, wanted.image, atol=1e-6, rtol=0)
