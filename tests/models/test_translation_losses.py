"""The losses of pix2pix, CycleGAN and CUT in closed form, on networks that multiply."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from lit_gen.errors import UserError
from lit_gen.functional.adversarial import LeastSquaresLoss, NonSaturatingLoss, RelativisticPairingLoss
from lit_gen.models import CUT, CycleGAN, Pix2Pix
from lit_gen.nn.patch_discriminator import PatchDiscriminator
from lit_gen.nn.resnet_translator import ResNetTranslator
from lit_gen.nn.unet import UNetGenerator
from lit_gen.training.seeding import generators

SHAPE = (1, 2, 3)


class Times(nn.Module):
    """Multiplies by a number, other ones in the order in which networks are made."""

    def __init__(self, source_shape: Any, image_shape: Any, factors: list[float]) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factors.pop(0)))
        self.encoded_channels = (1,)

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x

    def encode(self, x: Tensor) -> list[Tensor]:
        return [x * torch.arange(1.0, 4.0)]  # by columns: mirroring is noticed


class Sum(nn.Module):
    """Gives each image's values times a factor, channel by channel, as logits."""

    def __init__(self, image_shape: Any, num_classes: None = None, factors: tuple[float, ...] = (1.0,)) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.tensor(factors[: image_shape[0]]))

    def forward(self, x: Tensor, label: None = None) -> Tensor:
        return (x * self.factors[:, None, None]).sum(1)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {name: torch.rand(4, *SHAPE) * 2 - 1 for name in ("source", "image")}


@pytest.fixture(autouse=True)
def without_a_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytorch_lightning.LightningModule.trainer", None)


@pytest.mark.parametrize("conditional", [True, False])
def test_pix2pix(batch: dict[str, Tensor], conditional: bool) -> None:
    x, y = batch["source"], batch["image"]
    model = Pix2Pix(
        SHAPE, generator=partial(Times, factors=[0.5]), discriminator=partial(Sum, factors=(2.0, 3.0)),
        conditional=conditional,
    )  # fmt: skip
    real, fake = 2 * y + 3 * x * conditional, 2 * 0.5 * x + 3 * x * conditional
    expected = softplus(-fake).mean() + 100 * (y - 0.5 * x).abs().mean()
    torch.testing.assert_close(model.generator_loss(batch), expected)
    expected = 0.5 * (softplus(-real).mean() + softplus(fake).mean())
    torch.testing.assert_close(model.discriminator_loss(batch), expected)
    model.l1_weight, model.adversarial_weight = 7.0, 0.0
    torch.testing.assert_close(model.generator_loss(batch), 7 * (y - 0.5 * x).abs().mean())


def test_cyclegan(batch: dict[str, Tensor]) -> None:
    """Two factors a and b: both cycles end at a·b times what they began with."""
    x, y = batch["source"], batch["image"]
    model = CycleGAN(SHAPE, generator=partial(Times, factors=[0.5, 1.5]), discriminator=Sum)
    expected = (
        (0.5 * x - 1).square().mean()
        + (1.5 * y - 1).square().mean()
        + 10 * 0.25 * (x.abs().mean() + y.abs().mean())
        + 10 * 0.5 * (0.5 * y.abs().mean() + 0.5 * x.abs().mean())
    )
    torch.testing.assert_close(model.generator_loss(batch), expected)
    expected = 0.5 * ((y - 1).square() + (0.5 * x).square() + (x - 1).square() + (1.5 * y).square()).mean()
    torch.testing.assert_close(model.discriminator_loss(batch), expected)
    assert model.image_pool.num_stored == model.source_pool.num_stored == 4
    assert torch.equal(model.image_pool.images[:4], 0.5 * x) and torch.equal(model.source_pool.images[:4], 1.5 * y)
    assert torch.equal(model.translate(batch), 0.5 * x) and torch.equal(model.translate_back(batch), 1.5 * y)
    held_out = model.held_out(batch)
    torch.testing.assert_close(held_out["cycle_l1_source/held_out"], 0.25 * x.abs().mean())
    torch.testing.assert_close(held_out["cycle_l1_image/held_out"], 0.25 * y.abs().mean())


def nce(q: Tensor, k: Tensor, tau: float) -> float:
    """The definition, image by image and place by place."""
    terms = []
    for one, other in zip(q.detach(), k.detach(), strict=True):
        for s in range(len(one)):
            scores = [math.exp(float(one[s] @ other[t]) / tau) for t in range(len(other))]
            terms.append(-math.log(scores[s] / sum(scores)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("identity_weight", [1.0, 0.0])
def test_cut(batch: dict[str, Tensor], identity_weight: float) -> None:
    x, y = batch["source"], batch["image"]
    model = CUT(
        SHAPE, generator=partial(Times, factors=[0.5]), discriminator=Sum, nce_weight=3.0, temperature=0.5,
        identity_weight=identity_weight, head_features=8,
    )  # fmt: skip
    with torch.no_grad():
        for layer in model.head.layers[0]:
            if isinstance(layer, nn.Linear):
                layer.weight.normal_(), layer.bias.normal_()

    def embedded(image: Tensor) -> Tensor:
        (encoded,) = model.generator.encode(image)
        return normalize(model.head.layers[0](encoded.flatten(2).mT), dim=2)

    first, second = nce(embedded(0.5 * x), embedded(x), 0.5), nce(embedded(0.5 * y), embedded(y), 0.5)
    expected = (0.5 * x - 1).square().mean() + 3 * first + identity_weight * second
    torch.testing.assert_close(model.generator_loss(batch), expected, rtol=1e-5, atol=1e-5)
    expected = 0.5 * ((y - 1).square() + (0.5 * x).square()).mean()
    torch.testing.assert_close(model.discriminator_loss(batch), expected)


def test_fastcut_mirrors_the_maps_back(batch: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a generator that mirroring does not matter to, what it makes of a mirrored source is bound to the source."""

    class Even(Times):
        def encode(self, x: Tensor) -> list[Tensor]:
            return [x]

    model = CUT(SHAPE, generator=partial(Even, factors=[0.5]), discriminator=Sum, flip_equivariance=True)
    given: list[Tensor] = []
    model.generator.register_forward_hook(lambda module, inputs, output: given.append(inputs[0]))
    losses = []
    for flips in (False, True):
        monkeypatch.setattr(model, "_flips", lambda flips=flips: flips)
        torch.manual_seed(0)
        losses.append(model.contrast(batch["source"], model.generator(batch["source"]), False))
        model.identity_weight = 0.0
        losses.append(model.generator_loss(batch))
    assert torch.equal(given[-1], batch["source"].flip(3)) and torch.equal(given[1], batch["source"])
    torch.testing.assert_close(losses[1], losses[3])
    monkeypatch.undo()
    drawn = {model._flips() for _ in range(50)}
    assert drawn == {True, False}
    model.flip_equivariance = False
    assert not any(model._flips() for _ in range(50))


def test_the_dropout_and_statistics_of_translation_are_switches() -> None:
    torch.manual_seed(0)
    shape, x = (3, 16, 16), {"source": torch.rand(2, 3, 16, 16)}
    unet = partial(UNetGenerator, features=4, norm="batch")
    patches = partial(PatchDiscriminator, receptive_field=16, features=4)
    make: Callable[..., Pix2Pix] = partial(Pix2Pix, shape, generator=unet, discriminator=patches)
    noisy = make()
    assert not torch.equal(noisy.translate(x), noisy.translate(x))
    still, running = make(test_dropout=False), make(test_dropout=False, test_statistics="running")
    running.load_state_dict(still.state_dict())
    assert torch.equal(still.translate(x), still.translate(x))
    one = {"source": x["source"][:1]}
    assert not torch.allclose(still.translate(one), still.translate(x)[:1], atol=1e-4), "the batch's statistics"
    torch.testing.assert_close(running.translate(one), running.translate(x)[:1])
    assert all(torch.equal(v, running.state_dict()[k]) for k, v in still.state_dict().items()), "nothing was counted"
    assert running.hparams["test_statistics"] == "running" and running.hparams["test_dropout"] is False
    with pytest.raises(UserError, match="test_statistics is 'ema'"):
        make(test_statistics="ema")


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("statistics", ["batch", "running"])
@pytest.mark.parametrize("dropout", [True, False])
def test_a_translation_depends_on_its_source_and_its_generator_alone(norm: str, statistics: str, dropout: bool) -> None:
    torch.manual_seed(0)
    unet = partial(UNetGenerator, features=4, norm=norm)
    patches = partial(PatchDiscriminator, receptive_field=16, features=4)
    model = Pix2Pix(
        (3, 16, 16), generator=unet, discriminator=patches, test_dropout=dropout, test_statistics=statistics
    )  # type: ignore[arg-type]
    x, state = torch.rand(5, 3, 16, 16), torch.get_rng_state()

    def translate(first: int, last: int, seed: int = 0) -> torch.Tensor:
        return model.translate({"source": x[first:last]}, generators(seed, range(first, last)))

    whole = translate(0, 5)
    torch.testing.assert_close(torch.cat([translate(0, 2), translate(2, 3), translate(3, 5)]), whole, rtol=0, atol=1e-6)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(translate(0, 5, seed=1), whole) is not dropout
    if not dropout and (norm == "instance" or statistics == "running"):
        assert torch.equal(model.translate({"source": x}), whole), "nothing acts: one batch"


def test_relativistic_losses_compare_with_real_images(batch: dict[str, Tensor]) -> None:
    x, y = batch["source"], batch["image"]
    loss = RelativisticPairingLoss()
    make = {"generator": partial(Times, factors=[0.5, 1.5]), "discriminator": Sum, "loss": loss}
    model = CycleGAN(SHAPE, cycle_weight=0.0, **make)
    expected = softplus(y - 0.5 * x).mean() + softplus(x - 1.5 * y).mean()
    torch.testing.assert_close(model.generator_loss(batch), expected)


def test_the_scale_of_least_squares() -> None:
    real, fake = torch.randn(5), torch.randn(5)
    for scale in (0.5, 1.0):
        loss = LeastSquaresLoss(scale=scale)
        torch.testing.assert_close(loss.generator(fake), scale * (fake - 1).square().mean())
        expected = scale * ((real - 1).square().mean() + fake.square().mean())
        torch.testing.assert_close(loss.discriminator(real, fake), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CycleGAN((3, 16, 16), (1, 16, 16)),
            "identity_weight is 0.5, but sources have 1 channels.*set it to 0",
        ),
        (lambda: CUT((3, 16, 16), (1, 16, 16)), "as many channels"),
        (lambda: Pix2Pix((3, 16, 16), (3, 16, 8)), "sources have 16×8 pixels and images 16×16"),
        (lambda: CUT((3, 32, 32), generator=UNetGenerator), "UNetGenerator has no `encode`; ResNetTranslator has"),
        (lambda: CUT((3, 32, 32), num_patches=0), "num_patches is 0"),
        (lambda: CUT((3, 32, 32), temperature=0.0), "temperature is 0.0"),
        (lambda: CycleGAN((3, 32, 32), pool_size=-1), "pool's size is -1"),
    ],
)
def test_what_cannot_be_is_one_clear_line(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


def test_the_defaults_are_the_papers() -> None:
    pix2pix, cycle, cut = Pix2Pix((3, 64, 64)), CycleGAN((3, 64, 64)), CUT((3, 64, 64))
    assert isinstance(pix2pix.loss, NonSaturatingLoss) and pix2pix.l1_weight == 100 and pix2pix.test_dropout
    assert isinstance(pix2pix.generator, UNetGenerator) and isinstance(cycle.generator, ResNetTranslator)
    assert (cycle.cycle_weight, cycle.identity_weight, cycle.image_pool.size) == (10, 0.5, 50)
    assert (cut.temperature, cut.num_patches, cut.nce_weight, cut.identity_weight) == (0.07, 256, 1, 1)
    optimizers, _ = cycle.configure_optimizers()
    assert [o.defaults["betas"] for o in optimizers] == [(0.5, 0.999)] * 2
    assert [o.defaults["lr"] for o in optimizers] == [2e-4] * 2
