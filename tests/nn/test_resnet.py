"""Residual networks: any size, the papers' widths, spectral norm against the SVD, projection by hand."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate, relu

from lit_gen.errors import UserError
from lit_gen.nn.attention import SelfAttention
from lit_gen.nn.conditional_norm import ConditionalBatchNorm2d
from lit_gen.nn.residual import DownBlock, UpBlock, downsample, upsample
from lit_gen.nn.resnet import ResNetDiscriminator, ResNetGenerator

SHAPES = [(1, 8, 8), (1, 9, 15), (3, 28, 28), (2, 37, 50), (3, 64, 9), (4, 65, 33), (1, 128, 8)]
TINY = {"features": 4, "max_features": 8, "attention": [16]}


def bounded_gradients(*networks: nn.Module) -> None:
    for network in networks:
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_any_shape(shape: tuple[int, int, int], num_classes: int | None, spectral_norm: bool) -> None:
    generator = ResNetGenerator(shape, 5, num_classes, spectral_norm=spectral_norm, **TINY)
    discriminator = ResNetDiscriminator(shape, num_classes, spectral_norm=spectral_norm, norm="layer", **TINY)
    label = None if num_classes is None else torch.tensor([0, 2])
    x = generator(torch.randn(2, 5), label)
    assert x.shape == (2, *shape)
    assert x.abs().max() <= 1
    logits = discriminator(x, label)
    assert logits.shape == (2,)
    logits.sum().backward()
    bounded_gradients(generator, discriminator)
    assert generator.eval()(torch.randn(1, 5), label if label is None else label[:1]).shape == (1, *shape)


def up_widths(network: ResNetGenerator) -> list[int]:
    blocks = network.decoder.blocks
    return [blocks[0].conv1.in_channels, *(block.conv2.out_channels for block in blocks)]


def down_blocks(network: ResNetDiscriminator) -> list[tuple[int, bool]]:
    return [(block.conv2.out_channels, block.halve) for block in network.encoder.blocks]


def test_sngan_s_widths_at_32_pixels() -> None:
    """Table 4: 4×4×256 and three blocks of 256; two blocks that halve, two that do not, all of 128."""
    generator = ResNetGenerator((3, 32, 32), 128, features=256, max_features=256)
    assert up_widths(generator) == [256] * 4
    assert generator.decoder.first_shape == (256, 4, 4)
    discriminator = ResNetDiscriminator((3, 32, 32), features=128, max_features=128, coarsest=8, final_blocks=2)
    assert down_blocks(discriminator) == [(128, True), (128, True), (128, False), (128, False)]


@pytest.mark.parametrize(
    ("size", "first", "up", "down"),
    [
        (48, (512, 6, 6), [512, 256, 128, 64], [64, 128, 256, 512, 1024]),
        (128, (1024, 4, 4), [1024, 1024, 512, 256, 128, 64], [64, 128, 256, 512, 1024, 1024]),
    ],
)
def test_sngan_s_widths_at_48_and_128_pixels(
    size: int, first: tuple[int, int, int], up: list[int], down: list[int]
) -> None:
    """Tables 5 and 6, which are the defaults."""
    with torch.device("meta"):
        generator, discriminator = ResNetGenerator((3, size, size), 128), ResNetDiscriminator((3, size, size))
    assert generator.decoder.first_shape == first
    assert up_widths(generator) == up
    assert down_blocks(discriminator) == [*((width, True) for width in down[:-1]), (down[-1], False)]
    # A block's first convolution has as many filters as channels come in, but for the first block's.
    hidden = [block.conv1.out_channels for block in discriminator.encoder.blocks]
    assert hidden == [down[0], *down[:-1]]


def test_attention_stands_at_the_map_nearest_to_the_size_asked_for() -> None:
    def places(network: nn.Module) -> list[bool]:
        return [isinstance(layer, SelfAttention) for layer in network.attention]

    generator = ResNetGenerator((1, 32, 32), 4, features=4, attention=[16])  # maps of 8, 16, 32
    assert places(generator.decoder) == [False, True, False]
    generator = ResNetGenerator((1, 28, 28), 4, features=4, attention=[16, 64])  # 14, 28
    assert places(generator.decoder) == [True, True]
    discriminator = ResNetDiscriminator((1, 32, 32), features=4, attention=[8], final_blocks=2)  # 16, 8, 4, 4, 4
    assert places(discriminator.encoder) == [False, True, False, False, False]
    with pytest.raises(UserError, match="attention"):
        ResNetGenerator((1, 28, 28), 4, features=4, attention=[0])


def test_up_block_is_its_definition() -> None:
    torch.manual_seed(0)
    block = UpBlock(2, 3, (5, 6), nn.Identity).double()
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64)

    def doubled(x: torch.Tensor) -> torch.Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, :5, :6]

    h = block.conv2(relu(block.conv1(doubled(relu(x)))))
    torch.testing.assert_close(block(x), h + block.shortcut(doubled(x)))
    torch.testing.assert_close(upsample(x, (6, 6)), interpolate(x, scale_factor=2.0, mode="nearest"))


@pytest.mark.parametrize("first", [False, True])
def test_down_block_is_its_definition(first: bool) -> None:
    torch.manual_seed(0)
    block = DownBlock(2, 3, 3, first=first, norm=nn.Identity).double()
    x = torch.randn(2, 2, 6, 4, dtype=torch.float64)
    h = block.conv2(relu(block.conv1(x if first else relu(x))))

    def halved(x: torch.Tensor) -> torch.Tensor:
        return 0.25 * sum(x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1))

    torch.testing.assert_close(block(x), halved(h) + halved(block.shortcut(x)))
    kept = DownBlock(3, 3, 3, halve=False)
    assert isinstance(kept.shortcut, nn.Identity)


def test_halving_an_odd_map_averages_what_there_is() -> None:
    x = torch.arange(15.0).view(1, 1, 3, 5)
    expected = torch.tensor([[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]])
    torch.testing.assert_close(downsample(x)[0, 0], expected)


def settled(network: nn.Module, *inputs: torch.Tensor) -> nn.Module:
    with torch.no_grad():
        for _ in range(200):
            network.train()(*inputs)
    return network.eval()


def test_spectral_norms_are_one() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(1, 1, 8, 8), torch.tensor([1])
    network = settled(ResNetDiscriminator((1, 8, 8), 3, features=4, attention=[4]), x, y)
    weights = [(n, m.weight) for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(weights) == 6 + 4 + 2
    for name, weight in weights:
        largest = torch.linalg.svdvals(weight.detach().flatten(1))[0].item()
        assert largest == pytest.approx(1.0, abs=2e-3), name
    plain = ResNetDiscriminator((1, 8, 8), 3, features=4, spectral_norm=False)
    assert not any("parametrizations" in name for name, _ in plain.named_parameters())


def test_spectral_norm_iterates_in_training_only() -> None:
    torch.manual_seed(0)
    network, x = ResNetDiscriminator((1, 8, 8), features=4), torch.randn(2, 1, 8, 8)

    def buffers() -> list[torch.Tensor]:
        return [buffer.clone() for buffer in network.buffers()]

    network.eval()
    before, once = buffers(), network(x)
    again = network(x)
    assert torch.equal(once, again)
    assert all(torch.equal(a, b) for a, b in zip(before, buffers(), strict=True))
    network.train()(x)
    assert any(not torch.equal(a, b) for a, b in zip(before, buffers(), strict=True))


def test_a_logit_depends_on_its_own_image_alone() -> None:
    torch.manual_seed(0)
    network = ResNetDiscriminator((1, 9, 9), features=4, norm="layer", spectral_norm=False)
    x = torch.randn(3, 1, 9, 9, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x)[0], x)
    assert gradient[0].abs().sum() > 0
    assert gradient[1:].abs().max() == 0


@pytest.mark.parametrize("num_outputs", [1, 4])
def test_projection_is_its_formula(num_outputs: int) -> None:
    torch.manual_seed(0)
    network = ResNetDiscriminator((1, 8, 8), 3, num_outputs, spectral_norm=False, **TINY)
    x, y = torch.randn(5, 1, 8, 8), torch.tensor([0, 1, 2, 1, 0])
    phi = network.encoder(x)
    outputs = phi @ network.head.linear.weight.T + network.head.linear.bias
    logit = outputs[:, 0] + torch.stack([network.head.embedding.weight[k] @ phi[i] for i, k in enumerate(y.tolist())])
    expected = logit if num_outputs == 1 else torch.cat([logit[:, None], outputs[:, 1:]], 1)
    torch.testing.assert_close(network(x, y), expected)


def test_features_are_pooled_as_asked() -> None:
    torch.manual_seed(0)
    summed = ResNetDiscriminator((1, 16, 12), features=4)
    averaged = ResNetDiscriminator((1, 16, 12), features=4, pooling="mean")
    averaged.load_state_dict(summed.state_dict())
    x = torch.randn(2, 1, 16, 12)  # 16×12 → 8×6 → 4×3
    torch.testing.assert_close(summed.eval().encoder(x), 12 * averaged.eval().encoder(x))


def test_a_conditional_generator_starts_blind_to_the_label_and_learns_it() -> None:
    torch.manual_seed(0)
    generator, z = ResNetGenerator((1, 8, 8), 4, 3, features=4), torch.randn(6, 4)
    a, b = torch.zeros(6, dtype=torch.long), torch.ones(6, dtype=torch.long)
    assert torch.equal(generator.eval()(z, a), generator(z, b))
    norms = [layer for layer in generator.modules() if isinstance(layer, ConditionalBatchNorm2d)]
    assert len(norms) == 2
    nn.init.normal_(norms[0].gain.weight)
    assert not torch.allclose(generator(z, a), generator(z, b))


def test_weights_are_drawn_as_the_paper_s() -> None:
    """Glorot's uniform distribution has variance 2/(fan in + fan out), twice that before ReLUs."""
    torch.manual_seed(0)
    block = ResNetDiscriminator((3, 32, 32), features=64, spectral_norm=False).encoder.blocks[1]
    for layer, gain in ((block.conv1, 2.0), (block.conv2, 2.0), (block.shortcut, 1.0)):
        fans = (layer.in_channels + layer.out_channels) * layer.kernel_size[0] ** 2
        assert layer.weight.var().item() == pytest.approx(gain * 2 / fans, rel=0.05)


def test_gradient_penalties_reach_the_weights() -> None:
    torch.manual_seed(0)
    network = ResNetDiscriminator((1, 9, 9), features=4, norm="layer", attention=[5])
    nn.init.ones_(next(m for m in network.modules() if isinstance(m, SelfAttention)).gamma)
    x = torch.randn(2, 1, 9, 9, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    gradient.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
        if name.endswith("original"):
            assert parameter.grad is not None, name


@pytest.mark.parametrize(
    "wrong",
    [{"features": 0}, {"max_features": 0}, {"final_blocks": 0}, {"coarsest": 0}, {"norm": "batch"}, {"pooling": "max"}],
)
def test_senseless_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        ResNetDiscriminator((1, 8, 8), **wrong)


def test_images_that_are_too_small_are_refused_with_their_size() -> None:
    with pytest.raises(UserError, match="7×64"):
        ResNetGenerator((1, 7, 64), 4)
    with pytest.raises(UserError, match="64×7"):
        ResNetDiscriminator((1, 64, 7))


def test_maps_of_neighbouring_blocks_fit() -> None:
    generator = ResNetGenerator((1, 37, 50), 4, features=4)
    sizes = [generator.decoder.first_shape[1:], *(block.size for block in generator.decoder.blocks)]
    assert sizes[-1] == (37, 50)
    assert all(((h + 1) // 2, (w + 1) // 2) == coarse for coarse, (h, w) in pairwise(sizes))
