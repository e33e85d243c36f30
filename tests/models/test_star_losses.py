"""The losses of StarGAN and StarGAN v2 in closed form, on networks that multiply and add."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, softplus

from lit_gen.errors import UserError
from lit_gen.models import StarGAN, StarGANv2

SHAPE = (2, 3, 4)
NAMES, GROUPS = ("hair=0", "hair=1", "hair=2", "hat"), ((0, 1, 2), (3,))
OWN = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0]])
WEIGHTS = torch.tensor([0.1, -0.2, 0.3, 0.5])


class Tint(nn.Module):
    """Adds an attribute's weight for each that is wanted."""

    def __init__(self, image_shape: Any, num_attributes: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(WEIGHTS.clone())

    def forward(self, x: Tensor, a: Tensor) -> Tensor:
        return 0.5 * x + (a @ self.weights)[:, None, None, None]


class Judge(nn.Module):
    """Gives each image's values, summed over channels and times 0.5, as logits, and multiples of its mean."""

    def __init__(self, image_shape: Any, num_attributes: int) -> None:
        super().__init__()
        self.factor, self.classes = nn.Parameter(torch.tensor(0.5)), torch.arange(1.0, num_attributes + 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.factor * x.sum(1), x.mean((1, 2, 3))[:, None] * self.classes


def stargan(**arguments: Any) -> StarGAN:
    return StarGAN(SHAPE, NAMES, GROUPS, generator=Tint, discriminator=Judge, **arguments)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {"image": torch.rand(4, *SHAPE) * 2 - 1, "attributes": OWN, "wanted": OWN.flip(0)}


@pytest.fixture(autouse=True)
def without_a_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytorch_lightning.LightningModule.trainer", None)


def classification(x: Tensor, a: Tensor) -> Tensor:
    logits = x.mean((1, 2, 3))[:, None] * torch.arange(1.0, 5.0)
    return cross_entropy(logits[:, :3], a[:, :3].argmax(1)) + binary_cross_entropy_with_logits(logits[:, 3], a[:, 3])


def tinted(x: Tensor, a: Tensor) -> Tensor:
    return 0.5 * x + (a @ WEIGHTS)[:, None, None, None]


def test_stargan_s_discriminator(batch: dict[str, Tensor]) -> None:
    x, fake = batch["image"], tinted(batch["image"], batch["wanted"])
    # The mean over patches of a sum over two channels; the penalty's gradient is 0.5 for each of all 24 values.
    verdicts = fake.mean() - x.mean()
    penalty = 10 * (0.5 * 24**0.5 - 1) ** 2
    loss = stargan(attribute_weight=3.0).discriminator_loss(batch)
    torch.testing.assert_close(loss, verdicts + 3 * classification(x, batch["attributes"]) + penalty)
    loss = stargan(gradient_penalty=0.0).discriminator_loss(batch)
    torch.testing.assert_close(loss, verdicts + classification(x, batch["attributes"]))


def test_stargan_s_generator(batch: dict[str, Tensor]) -> None:
    x, fake = batch["image"], tinted(batch["image"], batch["wanted"])
    cycle = (tinted(fake, batch["attributes"]) - x).abs().mean()
    loss = stargan(attribute_weight=3.0).generator_loss(batch)
    torch.testing.assert_close(loss, -fake.mean() + 3 * classification(fake, batch["wanted"]) + 10 * cycle)


def test_wanted_attributes_are_a_permutation_of_the_batch_s(batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    del batch["wanted"]
    model, orders = stargan(), set()
    for _ in range(20):
        wanted = model.wanted(batch)
        assert sorted(wanted.tolist()) == sorted(OWN.tolist())
        orders.add(tuple(map(tuple, wanted.tolist())))
    assert len(orders) > 5
    seeded = [model.translate(batch, torch.Generator().manual_seed(1)) for _ in range(2)]
    assert torch.equal(*seeded)


def test_several_attributes_change_at_once(batch: dict[str, Tensor]) -> None:
    image = batch["image"]
    out = stargan().translate({"image": image, "wanted": torch.tensor([[0.0, 0, 1, 1]]).expand(4, -1)})
    torch.testing.assert_close(out, 0.5 * image + 0.8)
    with pytest.raises(UserError, match=r"shape \[4, 2\]; the model needs 4 per image: hair=0, hair=1, hair=2, hat$"):
        stargan().translate({"image": image, "wanted": torch.zeros(4, 2)})


def test_the_generator_moves_once_in_five_batches() -> None:
    assert [(phase.player, phase.every) for phase in stargan().phases] == [("discriminator", 1), ("generator", 5)]
    with pytest.raises(UserError, match="n_critic is 0"):
        stargan(n_critic=0)


@pytest.mark.parametrize("method", [StarGAN, StarGANv2])
def test_data_without_attributes_are_refused(method: Any) -> None:
    with pytest.raises(UserError, match=r"needs attributes, .* Sprites with --data.kind attributes"):
        method((3, 16, 16), attribute_names=None, attribute_groups=None)


class Shift(nn.Module):
    """Halves an image and adds its style."""

    def __init__(self, image_shape: Any, style_dim: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        return self.factor * x + s[:, :1, None, None]


class Latent(nn.Module):
    """Gives a latent, and 1 more for domain 1, as style."""

    def __init__(self, num_domains: int, latent_dim: int, style_dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, z: Tensor, domain: Tensor) -> Tensor:
        return self.scale * z + domain[:, None]


class Mean(nn.Module):
    """Gives an image's mean, times 2 in domain 1, as style; or as verdict."""

    def __init__(self, image_shape: Any, num_domains: int, style_dim: int | None = None) -> None:
        super().__init__()
        self.styles, self.scale = style_dim, nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        out = self.scale * x.mean((1, 2, 3)) * (1 + domain)
        return out if self.styles is None else out[:, None]


def stargan_v2(**arguments: Any) -> StarGANv2:
    networks: Any = {"generator": Shift, "mapping": Latent, "encoder": Mean, "discriminator": Mean}
    return StarGANv2(SHAPE, NAMES, GROUPS, "hat", latent_dim=1, style_dim=1, **networks, **arguments)


@pytest.fixture
def two(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """One image of each domain; each is the only reference there is for the other."""
    return {name: tensor[:2] for name, tensor in batch.items()} | {"wanted": OWN[:2].flip(0)}


def mean(x: Tensor, domain: Tensor) -> Tensor:
    return x.mean((1, 2, 3)) * (1 + domain)


@pytest.mark.parametrize("gamma", [0.0, 3.0])
def test_stargan_v2_s_discriminator(two: dict[str, Tensor], gamma: float) -> None:
    x, own, wanted = two["image"], torch.tensor([1, 0]), torch.tensor([0, 1])
    loss = stargan_v2(r1_gamma=gamma)
    torch.manual_seed(1)
    value = loss.discriminator_loss(two)
    torch.manual_seed(1)
    torch.rand(2, 2)  # draws the references first
    drawn = torch.randn(2, 1)[:, 0] + wanted
    expected = torch.zeros(())
    for s in (drawn, mean(x.flip(0), wanted)):
        fake = 0.5 * x + s[:, None, None, None]
        expected = expected + 0.5 * (softplus(-mean(x, own)).mean() + softplus(mean(fake, wanted)).mean())
    # The verdict's gradient is 1/24 for each of 24 values, twice that for the image of domain 1.
    torch.testing.assert_close(value, expected + gamma / 2 * (1 + 4) / 24 / 2)


@pytest.mark.parametrize("step", [0, 30, 200])
def test_stargan_v2_s_generator(two: dict[str, Tensor], step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StarGANv2, "step", step)
    x, own, wanted = two["image"], torch.tensor([1, 0]), torch.tensor([0, 1])
    weights = {"style_weight": 2.0, "diversity_weight": 3.0, "cycle_weight": 5.0, "diversity_steps": 100}
    model = stargan_v2(**weights)
    torch.manual_seed(1)
    value = model.generator_loss(two)
    torch.manual_seed(1)
    z = [torch.randn(2, 1)[:, 0] for _ in range(2)]
    referred = mean(x.flip(0), wanted)
    expected = torch.zeros(())
    for s, other in ((z[0] + wanted, z[1] + wanted), (referred, referred)):
        fake = 0.5 * x + s[:, None, None, None]
        style = (mean(fake, wanted) - s).abs().mean()
        back = 0.5 * fake + mean(x, own)[:, None, None, None]
        terms = softplus(-mean(fake, wanted)).mean() + 2 * style + 5 * (back - x).abs().mean()
        expected = expected + 0.5 * (terms - 3 * max(0, 1 - step / 100) * (s - other).abs().mean())
    torch.testing.assert_close(value, expected)


def test_a_reference_s_style_is_given(two: dict[str, Tensor]) -> None:
    """The encoder learns from what it recognises in outputs and own images, not through references' styles."""
    model = stargan_v2()
    reference = two["image"].flip(0).requires_grad_()
    out = model.translate({**two, "style": reference})
    expected = 0.5 * two["image"] + mean(two["image"].flip(0), torch.tensor([0, 1]))[:, None, None, None]
    torch.testing.assert_close(out, expected.clamp(-1, 1))
    assert not out.requires_grad
    with pytest.raises(UserError, match=r"shape \[2, 3, 5\]; styles are told from \[2, 3, 4\]"):
        model.translate({**two, "style": torch.zeros(2, 2, 3, 5)})


def test_domains_are_the_values_of_one_column() -> None:
    model = StarGANv2((3, 16, 16), NAMES, GROUPS, "hair")
    assert model.num_domains == 3 and model.changeable == (0, 1, 2)
    assert model.domain(OWN).tolist() == [0, 1, 2, 0]
    assert stargan_v2().domain(OWN).tolist() == [1, 0, 1, 0] and stargan_v2().num_domains == 2
    for name in (None, "shoes"):
        with pytest.raises(UserError, match=rf"model.domain is {name}; it must be one of .*: hair, hat$"):
            StarGANv2((3, 16, 16), NAMES, GROUPS, name)
    assert StarGANv2((3, 16, 16), ("hat",), ((0,),)).group == (0,)
