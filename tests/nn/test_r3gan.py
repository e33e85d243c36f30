"""R3GAN networks: any size and channels, Fixup's initialisation, mirror images."""

import math

import pytest
import torch
from torch import nn

from lit_gen.errors import UserError
from lit_gen.functional.gradient_penalties import R1, R2
from lit_gen.functional.regularizer import Critique
from lit_gen.nn.r3gan import R3GANDiscriminator, R3GANGenerator, ResidualBlock
from lit_gen.nn.resampling import upsample

SHAPES = [(1, 8, 8), (1, 9, 15), (3, 28, 28), (2, 37, 50), (3, 64, 9), (4, 65, 33)]


def warm(network: nn.Module) -> nn.Module:
    """Gives the last layers of the residual blocks, which start at zero, something to do."""
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            nn.init.normal_(block.reduce.weight, 0.0, 0.2)
    return network


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("num_classes", [None, 3])
def test_any_shape(shape: tuple[int, int, int], num_classes: int | None) -> None:
    torch.manual_seed(0)
    generator = warm(R3GANGenerator(shape, 5, num_classes, features=3, max_features=8, blocks=1))
    discriminator = warm(R3GANDiscriminator(shape, num_classes, features=3, max_features=8, blocks=1))
    label = None if num_classes is None else torch.tensor([0, 1, 2])
    x = generator(torch.randn(3, 5), label)
    assert x.shape == (3, *shape)
    logits = discriminator(x, label)
    assert logits.shape == (3,)
    logits.square().sum().backward()
    for name, parameter in [*generator.named_parameters(), *discriminator.named_parameters()]:
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_both_penalties_reach_every_weight_of_the_discriminator() -> None:
    torch.manual_seed(0)
    discriminator = warm(R3GANDiscriminator((2, 9, 12), features=4, blocks=1))
    x, fake = torch.randn(4, 2, 9, 12), torch.randn(4, 2, 9, 12)
    (R1()(Critique(discriminator, x, fake)) + R2()(Critique(discriminator, x, fake))).backward()
    for name, parameter in discriminator.named_parameters():
        # Biases reach the gradient only through the sign of an activation, whose derivative is zero.
        assert name.endswith("bias") or (torch.isfinite(parameter.grad).all() and parameter.grad.any()), name


def test_every_block_is_the_identity_at_first_so_both_networks_are_linear() -> None:
    generator, discriminator = R3GANGenerator((3, 28, 28), 7, features=8), R3GANDiscriminator((3, 28, 28), features=8)
    a, b = torch.randn(2, 4, 7)
    torch.testing.assert_close(generator(2 * a + b), 2 * generator(a) + generator(b), rtol=1e-4, atol=1e-4)
    x, y = torch.randn(2, 4, 3, 28, 28)
    expected = 2 * discriminator(x) + discriminator(y)
    torch.testing.assert_close(discriminator(2 * x + y), expected, rtol=1e-4, atol=1e-4)


def test_the_block_is_the_bottleneck_of_the_paper() -> None:
    """Against its own equation, the grouped convolution group by group."""
    torch.manual_seed(0)
    block = warm(ResidualBlock(16, expansion=2, group_size=16, num_blocks=1))
    nn.init.normal_(block.expand.bias)
    nn.init.normal_(block.spatial.bias)
    x = torch.randn(2, 16, 5, 4)
    h = nn.functional.leaky_relu(nn.functional.conv2d(x, block.expand.weight, block.expand.bias), 0.2)
    groups = [
        nn.functional.conv2d(
            h[:, i : i + 16], block.spatial.weight[i : i + 16], block.spatial.bias[i : i + 16], padding=1
        )
        for i in (0, 16)
    ]
    h = nn.functional.leaky_relu(torch.cat(groups, 1), 0.2)
    torch.testing.assert_close(block(x), x + nn.functional.conv2d(h, block.reduce.weight))


def test_initial_scales() -> None:
    torch.manual_seed(0)
    blocks = [m for m in R3GANGenerator((3, 32, 32), 64).modules() if isinstance(m, ResidualBlock)]
    assert len(blocks) == 8  # 4 stages of 2
    gain = math.sqrt(2 / 1.04) * 8**-0.25
    for block in blocks:
        assert block.expand.weight.std().item() == pytest.approx(gain / math.sqrt(block.expand.in_channels), rel=0.05)
        assert block.spatial.weight.std().item() == pytest.approx(gain / math.sqrt(16 * 9), rel=0.05)
        assert not block.reduce.weight.any()


def test_coarse_maps_have_unit_variance_at_first() -> None:
    torch.manual_seed(0)
    generator = R3GANGenerator((3, 32, 32), 64, features=64, max_features=256)
    x = generator.weigh(torch.randn(256, 64))[:, :, None, None] * generator.basis
    assert x.var().item() == pytest.approx(1.0, rel=0.1)
    discriminator = R3GANDiscriminator((256, 8, 8), features=256)
    noise = discriminator.judge(discriminator.basis(torch.randn(512, 256, 4, 4)).flatten(1))
    assert noise.var().item() == pytest.approx(1.0, rel=0.5)


def test_the_networks_mirror_each_other() -> None:
    generator = R3GANGenerator((3, 32, 48), 10, features=16, max_features=64)
    discriminator = R3GANDiscriminator((3, 32, 48), features=16, max_features=64)

    def shapes(network: nn.Module) -> list[torch.Size]:
        return [p.shape for p in network.parameters()]

    for a, b in zip(generator.stages, reversed(discriminator.stages), strict=True):
        assert shapes(a) == shapes(b)
    for a, b in zip(generator.change, reversed(discriminator.change), strict=True):
        assert [(s[1], s[0]) for s in shapes(a)] == [(s[0], s[1]) for s in shapes(b)]
    assert generator.basis.numel() == discriminator.basis.weight.numel()
    total = [sum(p.numel() for p in network.parameters()) for network in (generator, discriminator)]
    assert total[0] - 10 * 64 == total[1] - 64  # but for the latent's and the logit's linear maps


def test_channels_are_changed_where_there_are_fewer_pixels() -> None:
    """A 1×1 convolution and the filter commute."""
    change, x = nn.Conv2d(6, 3, 1, bias=False), torch.randn(2, 6, 5, 5)
    torch.testing.assert_close(upsample(change(x), (9, 10)), change(upsample(x, (9, 10))), rtol=1e-4, atol=1e-5)


def test_the_label_decides() -> None:
    torch.manual_seed(0)
    generator, discriminator = R3GANGenerator((1, 8, 8), 4, 3), R3GANDiscriminator((1, 8, 8), 3)
    z = torch.randn(1, 4)
    a, b = generator(z, torch.tensor([0])), generator(z, torch.tensor([1]))
    assert not torch.allclose(a, b)
    assert not torch.allclose(discriminator(a, torch.tensor([0])), discriminator(a, torch.tensor([1])))
    with pytest.raises(AssertionError):
        generator(z)


@pytest.mark.parametrize("num_classes", [None, 3])
def test_other_outputs_follow_the_logit(num_classes: int | None) -> None:
    discriminator = R3GANDiscriminator((1, 8, 8), num_classes, num_outputs=5, features=8)
    label = None if num_classes is None else torch.tensor([0, 2])
    x = torch.randn(2, 1, 8, 8)
    outputs = discriminator(x, label)
    assert outputs.shape == (2, 5)
    if label is not None:  # only the logit depends on the label
        others = discriminator(x, label.flip(0))
        torch.testing.assert_close(others[:, 1:], outputs[:, 1:])
        assert not torch.allclose(others[:, 0], outputs[:, 0])


def test_an_image_depends_on_its_own_latent_alone() -> None:
    generator = warm(R3GANGenerator((1, 8, 8), 4, features=8)).eval()
    z = torch.randn(5, 4)
    torch.testing.assert_close(generator(z)[2:3], generator(z[2:3]))


@pytest.mark.parametrize("name", ["features", "max_features", "blocks", "expansion", "group_size"])
def test_senseless_settings_are_refused(name: str) -> None:
    for make in (lambda **s: R3GANGenerator((1, 8, 8), 4, **s), lambda **s: R3GANDiscriminator((1, 8, 8), **s)):
        with pytest.raises(UserError, match=f"{name} is 0"):
            make(**{name: 0})


@pytest.mark.parametrize("shape", [(1, 7, 64), (3, 64, 7)])
def test_images_that_are_too_small_are_refused_with_their_size(shape: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match=f"the network needs .* {shape[1]}×{shape[2]}"):
        R3GANGenerator(shape, 4)
