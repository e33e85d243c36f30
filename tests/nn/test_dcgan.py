"""DCGAN networks: any size and channels, the paper's layers and initialisation."""

import pytest
import torch
from torch import nn

from lit_gen.errors import UserError
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator

SHAPES = [(1, 8, 8), (1, 9, 15), (3, 28, 28), (1, 32, 32), (2, 37, 50), (3, 64, 9), (4, 65, 33), (1, 128, 8)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("latent_dim", [1, 7])
def test_any_shape(shape: tuple[int, int, int], num_classes: int | None, latent_dim: int) -> None:
    generator = DCGANGenerator(shape, latent_dim, num_classes, features=4)
    discriminator = DCGANDiscriminator(shape, num_classes, features=4)
    label = None if num_classes is None else torch.tensor([0, 2])
    x = generator(torch.randn(2, latent_dim), label)
    assert x.shape == (2, *shape)
    assert x.abs().max() <= 1
    logits = discriminator(x, label)
    assert logits.shape == (2,)
    logits.sum().backward()
    for name, parameter in [*generator.named_parameters(), *discriminator.named_parameters()]:
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("shape", [(1, 7, 64), (3, 64, 7), (1, 1, 1)])
def test_images_that_are_too_small_are_refused_with_their_size(shape: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match=f"{shape[1]}×{shape[2]}"):
        DCGANGenerator(shape, 4)
    with pytest.raises(UserError, match=f"{shape[1]}×{shape[2]}"):
        DCGANDiscriminator(shape)


def test_the_paper_s_64_pixel_generator() -> None:
    """Figure 1: 100 → 1024×4×4 → 512×8×8 → 256×16×16 → 128×32×32 → 3×64×64."""
    layers = list(DCGANGenerator((3, 64, 64), 100, features=128).layers)
    convolutions = [layer for layer in layers if isinstance(layer, nn.ConvTranspose2d)]
    assert [c.out_channels for c in convolutions] == [1024, 512, 256, 128, 3]
    assert convolutions[0].kernel_size == (4, 4)
    assert isinstance(layers[-1], nn.Tanh)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in layers) == 4
    assert sum(isinstance(layer, nn.ReLU) for layer in layers) == 4


def test_discriminator_has_no_batch_norm_at_either_end() -> None:
    layers = list(DCGANDiscriminator((3, 64, 64), features=8).layers)
    assert [type(layer).__name__ for layer in layers[:3]] == ["Conv2d", "LeakyReLU", "Conv2d"]
    assert isinstance(layers[-1], nn.Conv2d)
    assert all(layer.negative_slope == 0.2 for layer in layers if isinstance(layer, nn.LeakyReLU))


def test_weights_are_drawn_with_standard_deviation_002() -> None:
    torch.manual_seed(0)
    for network in (DCGANGenerator((3, 64, 64), 100), DCGANDiscriminator((3, 64, 64))):
        weights = torch.cat([p.flatten() for name, p in network.named_parameters() if p.ndim == 4])
        assert weights.std().item() == pytest.approx(0.02, rel=0.01)
        assert abs(weights.mean().item()) < 1e-4


def test_the_label_decides() -> None:
    torch.manual_seed(0)
    generator, discriminator = DCGANGenerator((1, 8, 8), 4, 3).eval(), DCGANDiscriminator((1, 8, 8), 3).eval()
    z = torch.randn(1, 4)
    a, b = generator(z, torch.tensor([0])), generator(z, torch.tensor([1]))
    assert not torch.allclose(a, b)
    assert not torch.allclose(discriminator(a, torch.tensor([0])), discriminator(a, torch.tensor([1])))


@pytest.mark.parametrize("widths", [{"features": 0}, {"features": -1}, {"max_features": 0}])
def test_senseless_widths_are_refused(widths: dict[str, int]) -> None:
    with pytest.raises(UserError, match="features"):
        DCGANGenerator((1, 8, 8), 4, **widths)
    with pytest.raises(UserError, match="features"):
        DCGANDiscriminator((1, 8, 8), **widths)


@pytest.mark.parametrize("num_classes", [None, 3])
def test_more_outputs_than_the_logit(num_classes: int | None) -> None:
    """An auxiliary task's discriminator gives [B, num_outputs], also for one image; without a task [B]."""
    label = None if num_classes is None else torch.zeros(1, dtype=torch.long)
    for num, shape in ((1, (1,)), (5, (1, 5))):
        network = DCGANDiscriminator((1, 8, 8), num_classes, features=4, num_outputs=num).eval()
        assert network(torch.zeros(1, 1, 8, 8), label).shape == shape
