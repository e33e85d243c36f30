"""SPADE's losses in closed form on networks that multiply, its latents and styles, and what it refuses."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser
from torch import Tensor, nn
from torch.nn.functional import relu, softplus
from torch.optim import Adam

from lit_gen.commands.classes import import_all
from lit_gen.contracts import SupportsFeatureMaps, SupportsTranslate
from lit_gen.errors import UserError
from lit_gen.functional.adversarial import RelativisticPairingLoss
from lit_gen.functional.gaussian_kl import gaussian_kl
from lit_gen.models import SPADE
from lit_gen.nn.patch_discriminator import PatchDiscriminator
from lit_gen.nn.spade_generator import SpadeGenerator
from lit_gen.nn.style_encoder import StyleEncoder

SHAPE = (1, 8, 9)


class Painter(nn.Module):
    """Gives the planes times a number each, plus the noise's sum."""

    def __init__(self, source_shape: Any, image_shape: Any, latent_dim: int) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.linspace(-0.5, 0.4, source_shape[0])[:, None, None])

    def forward(self, planes: Tensor, z: Tensor | None = None) -> Tensor:
        image = (planes * self.factors).sum(1, keepdim=True)
        return image if z is None else image + 0.01 * z.sum(1)[:, None, None, None]


class Scales(nn.Module):
    """At two scales, a map that is the image times a number, and logits that sum what is seen, plane by plane."""

    def __init__(self, image_shape: Any, num_classes: None = None) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.linspace(0.1, 2.0, image_shape[0])[:, None, None])

    def scales(self, image: Tensor) -> list[list[Tensor]]:
        logits = (image * self.factors).sum(1, keepdim=True)
        return [[3 * image, image.square(), logits], [5 * image[:, :, ::2], 2 * logits[:, :, ::2] + 1]]


class Encoder(nn.Module):
    """Gives each image's mean and a fixed log-variance."""

    def __init__(self, image_shape: Any, latent_dim: int) -> None:
        super().__init__()
        self.log_variance, self.latent_dim = nn.Parameter(torch.tensor(-0.7)), latent_dim

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean = image.mean((1, 2, 3))[:, None].expand(-1, self.latent_dim)
        return mean, self.log_variance.expand_as(mean)


class Perceiver(nn.Module):
    weights = (2.0, 0.5)

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(4.0))

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.factor * image, image.square()]


make: Callable[..., SPADE] = partial(SPADE, SHAPE, 3, latent_dim=0, generator=Painter, discriminator=Scales)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    torch.manual_seed(0)
    label_map = torch.randint(4, (4, 8, 9))
    label_map[label_map == 3] = 255
    instance = torch.randint(3, (4, 8, 9), dtype=torch.int32)
    return {"label_map": label_map, "instance": instance, "image": torch.rand(4, *SHAPE) * 2 - 1}


@pytest.fixture(autouse=True)
def without_a_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytorch_lightning.LightningModule.trainer", None)


def logits(model: SPADE, batch: dict[str, Tensor], image: Tensor) -> list[Tensor]:
    factors = model.discriminator.factors
    whole = (torch.cat([model.planes(batch), image], 1) * factors).sum(1)
    return [whole, 2 * whole[:, ::2] + 1]


def matching(image: Tensor, y: Tensor, planes: int) -> Tensor:
    """Planes are the same on both sides, so that they add zeros to the means."""
    share = image.shape[1] / (image.shape[1] + planes)
    d, squares = (image - y).abs(), (image.square() - y.square()).abs()
    return share * (3 * d.mean() + squares.mean() + 5 * d[:, :, ::2].mean()) / 2


@pytest.mark.parametrize("edges", [False, True])
def test_hinge_and_feature_matching(batch: dict[str, Tensor], edges: bool) -> None:
    model, y = make(edges=edges), batch["image"]
    planes = model.planes(batch)
    assert planes.shape == (4, 4 + edges, 8, 9) and model.source_shape == planes.shape[1:]
    fake = Painter.forward(model.generator, planes)
    real_logits, fake_logits = logits(model, batch, y), logits(model, batch, fake)
    pairs = list(zip(real_logits, fake_logits, strict=True))
    expected = sum(relu(1 - r).mean() + relu(1 + f).mean() for r, f in pairs) / 2
    torch.testing.assert_close(model.discriminator_loss(batch), expected)
    expected = -sum(f.mean() for f in fake_logits) / 2 + 10 * matching(fake, y, 4 + edges)
    torch.testing.assert_close(model.generator_loss(batch), expected)
    model.feature_weight = 0.0
    torch.testing.assert_close(model.generator_loss(batch), -sum(f.mean() for f in fake_logits) / 2)
    model.l1_weight = 3.0
    expected = 3 * (fake - y).abs().mean() - sum(f.mean() for f in fake_logits) / 2
    torch.testing.assert_close(model.generator_loss(batch), expected)
    held_out = model.held_out(batch)
    torch.testing.assert_close(held_out["l1/held_out"], (fake - y).abs().mean())
    torch.testing.assert_close(held_out["logit/held_out"], sum(r.mean() for r in real_logits) / 2)


def test_relativistic_losses_compare_with_real_images(batch: dict[str, Tensor]) -> None:
    model = make(loss=RelativisticPairingLoss(), feature_weight=0.0)
    fake = model.translate(batch)
    pairs = zip(logits(model, batch, batch["image"]), logits(model, batch, fake), strict=True)
    torch.testing.assert_close(model.generator_loss(batch), sum(softplus(r - f).mean() for r, f in pairs) / 2)


def test_a_style_is_drawn_and_its_divergence_is_a_mean_over_images(batch: dict[str, Tensor]) -> None:
    model = make(latent_dim=5, encoder=Encoder, feature_weight=0.0)
    y, planes = batch["image"], model.planes(batch)
    torch.manual_seed(3)
    noise = torch.randn(4, 5)
    mean, log_variance = model.encoder(y)
    fake = model.generator(planes, mean + (0.5 * log_variance).exp() * noise)
    adversarial = -sum(f.mean() for f in logits(model, batch, fake)) / 2
    torch.manual_seed(3)
    loss = model.generator_loss(batch)
    torch.testing.assert_close(loss, adversarial + 0.05 * gaussian_kl(mean, log_variance).mean())
    loss.backward()
    assert model.encoder.log_variance.grad is not None and model.encoder.log_variance.grad != 0
    doubled = {key: torch.cat([value, value]) for key, value in batch.items()}
    torch.testing.assert_close(model._latent(doubled["image"])[1].mean(), model._latent(y)[1].mean())


def test_a_perceptual_network_is_used_and_not_kept(batch: dict[str, Tensor]) -> None:
    model, plain = make(perceptual=Perceiver, perceptual_weight=7.0), make()
    fake, y = model.translate(batch), batch["image"]
    distance = 2 * 4 * (fake - y).abs().mean() + 0.5 * (fake.square() - y.square()).abs().mean()
    torch.testing.assert_close(model.generator_loss(batch), plain.generator_loss(batch) + 7 * distance)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert len(list(model.parameters())) == len(list(plain.parameters()))
    assert not any(p.requires_grad for network in model._perceptual for p in network.parameters())


def test_weights_of_the_perceptual_network_are_given_by_configurations_and_needed_for_training_only() -> None:
    import_all()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(pl.LightningModule, "it", fail_untyped=False, required=True)
    init = {
        "image_shape": [3, 32, 32],
        "num_label_classes": 3,
        "latent_dim": 0,
        "generator": {"class_path": "SpadeGenerator", "init_args": {"features": 2, "max_features": 2}},
        "discriminator": {"class_path": "MultiScaleDiscriminator", "init_args": {"receptive_field": 16, "features": 2}},
        "perceptual": {"class_path": "VGG19Maps", "init_args": {"weights_path": "none.pth"}},
    }
    parsed = parser.parse_object({"it": {"class_path": "SPADE", "init_args": init}})
    model = parser.instantiate(parsed).it
    label_map = torch.zeros(1, 32, 32, dtype=torch.int64)
    assert model.translate({"label_map": label_map}).shape == (1, 3, 32, 32)
    with pytest.raises(UserError, match=r"none\.pth, which does not hold the weights of torchvision's vgg19"):
        model.generator_loss({"label_map": label_map, "image": torch.zeros(1, 3, 32, 32)})


small = partial(SpadeGenerator, features=4, max_features=8, hidden_features=4)


@pytest.fixture
def styled() -> SPADE:
    torch.manual_seed(0)
    encoder = partial(StyleEncoder, features=4, max_features=8)
    return SPADE(SHAPE, 3, 6, small, Scales, encoder)


def test_translations_are_drawn_from_one_generator_per_image(styled: SPADE, batch: dict[str, Tensor]) -> None:
    """Which an image depends on, and on nothing else: not on its place, its batch or the global generator."""
    assert isinstance(styled, SupportsTranslate) and isinstance(styled.discriminator, SupportsFeatureMaps)
    del batch["image"]

    def generators(*seeds: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    images = styled.translate(batch, generators(0, 1, 2, 3))
    last = {key: value[[3, 3]] for key, value in batch.items()}
    again = styled.translate(last, generators(3, 4))
    torch.testing.assert_close(again[0], images[3])
    assert not torch.allclose(again[1], images[3], atol=1e-3)
    assert not torch.equal(styled.translate(batch), styled.translate(batch))


def test_a_style_takes_the_noise_s_place(styled: SPADE, batch: dict[str, Tensor]) -> None:
    style = torch.rand(4, 1, 11, 20) * 2 - 1
    image = styled.translate({"label_map": batch["label_map"], "style": style})
    assert torch.equal(image, styled.translate({"label_map": batch["label_map"], "style": style}))
    styled.eval()
    with torch.no_grad():
        expected = styled.generator(styled.planes(batch), styled.encoder(style)[0])
    torch.testing.assert_close(image, expected)
    other = styled.translate({"label_map": batch["label_map"], "style": style.flip(0)})
    assert not torch.allclose(image, other, atol=1e-3)
    with pytest.raises(UserError, match="has no encoder to take a style by"):
        make().translate({**batch, "style": style})


def test_the_defaults_are_the_paper_s() -> None:
    d, g = make().configure_optimizers()[0]
    assert (g.defaults["lr"], g.defaults["betas"]) == (1e-4, (0.0, 0.9))
    assert (d.defaults["lr"], d.defaults["betas"]) == (4e-4, (0.0, 0.9)) and isinstance(d, Adam)
    model = make()
    weights = (model.feature_weight, model.kl_weight, model.perceptual_weight, model.l1_weight)
    assert (weights, list(model.players)) == ((10, 0.05, 10, 0), ["discriminator", "generator"])
    assert model.averaged_networks == ("generator",)


def test_what_is_averaged_and_trained_with_the_generator(styled: SPADE) -> None:
    assert styled.averaged_networks == tuple(styled.players["generator"].networks) == ("generator", "encoder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_label_classes": None}, "needs label maps: LabelledMaps has them, and Sprites with --data.kind"),
        ({"encoder": StyleEncoder}, "latent_dim is 0, and must be at least 1 for an encoder"),
        ({"discriminator": PatchDiscriminator}, "PatchDiscriminator has no `scales`; MultiScaleDiscriminator has"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    whole = {"num_label_classes": 3, "latent_dim": 0, "generator": small, "discriminator": Scales, **arguments}
    with pytest.raises(UserError, match=message):
        SPADE((3, 32, 32), **whole)
