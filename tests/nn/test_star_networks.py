"""The networks of StarGAN and StarGAN v2: the papers' sizes, adaptive norm, blocks, heads of domains."""

import itertools

import pytest
import torch
from torch import nn

from lit_gen.errors import UserError
from lit_gen.nn.adaptive_norm import AdaptiveInstanceNorm2d
from lit_gen.nn.attribute_discriminator import AttributeDiscriminator
from lit_gen.nn.attribute_translator import AttributeTranslator
from lit_gen.nn.domain_heads import DomainDiscriminator, DomainMapping, DomainStyleEncoder
from lit_gen.nn.leaky_residual import LeakyBlock, initialise_rectified
from lit_gen.nn.style_translator import StyleTranslator


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_networks_are_the_papers_at_the_papers_sizes() -> None:
    """The numbers of parameters that follow from the layers of the papers' tables."""
    with torch.device("meta"):
        blocks = 6 * 2 * 256 * 256 * 9
        ends = (3 + 5) * 64 * 49 + 64 * 3 * 49 + 3
        assert parameters(AttributeTranslator((3, 128, 128), 5)) == ends + 2 * 16 * (64 * 128 + 128 * 256) + blocks
        widths = [3, 64, 128, 256, 512, 1024, 2048]
        hidden = sum(16 * a * b + b for a, b in itertools.pairwise(widths))
        network = AttributeDiscriminator((3, 128, 128), 5)
        assert parameters(network) == hidden + 2048 * 9 + 2048 * 5 * 4
        assert network(torch.zeros(2, 3, 128, 128))[0].shape == (2, 2, 2)
        assert parameters(DomainMapping(2, 16, 64)) == 2_438_272
        assert parameters(DomainStyleEncoder((3, 256, 256), 2, 64)) == 20_916_928
        assert parameters(DomainDiscriminator((3, 256, 256), 2)) == 20_852_290
        assert len(StyleTranslator((3, 256, 256), 64).encoder) == len(StyleTranslator((3, 256, 256), 64).decoder) == 6


def test_attributes_are_channels_that_are_the_same_everywhere_beyond_borders_zeros() -> None:
    torch.manual_seed(0)
    network = AttributeTranslator((1, 8, 8), 2, features=4, blocks=1)
    first = network.network.first[0]
    assert first.padding_mode == "zeros" and first.in_channels == 3
    seen: list[torch.Tensor] = []
    first.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x, a = torch.rand(2, 1, 8, 8), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    network(x, a)
    assert torch.equal(seen[0][:, :1], x)
    assert torch.equal(seen[0][:, 1:], a[:, :, None, None].expand(2, 2, 8, 8))


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (9, 13), (28, 28), (178, 218)])
def test_the_discriminator_fits_any_size(size: tuple[int, int]) -> None:
    network = AttributeDiscriminator((1, *size), 3, features=2, max_features=4)
    logits, attributes = network(torch.rand(2, 1, *size))
    assert attributes.shape == (2, 3)
    assert logits.ndim == 3 and min(logits.shape[1:]) >= (1 if min(size) < 4 else 2)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="at least 4×4 pixels; these are 3×9"):
        AttributeDiscriminator((3, 3, 9), 2)
    with pytest.raises(UserError, match="depth is 4, but for images of 9×13 pixels it can be 1 to 3"):
        AttributeDiscriminator((3, 9, 13), 2, depth=4)
    with pytest.raises(UserError, match="coarsest is 1"):
        StyleTranslator((3, 16, 16), 4, coarsest=1)
    with pytest.raises(UserError, match="domain_layers is 0"):
        DomainMapping(2, 4, 4, domain_layers=0)


def test_adaptive_norm_gives_each_image_its_style_s_deviation_and_mean() -> None:
    torch.manual_seed(0)
    layer = AdaptiveInstanceNorm2d(3, 5)
    x, s = torch.randn(4, 3, 8, 9) * 7 + 2, torch.randn(4, 5)
    out = layer(x, s)
    gamma, beta = layer.affine(s).chunk(2, dim=1)
    torch.testing.assert_close(out.mean((2, 3)), beta, atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std((2, 3), correction=0), (1 + gamma).abs(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer(x[2:3], s[2:3]), out[2:3])


@pytest.mark.parametrize("resize", ["none", "halve", "double"])
def test_a_block_keeps_the_variance_and_resizes(resize: str) -> None:
    torch.manual_seed(0)
    block = LeakyBlock(64, 64, resize)
    initialise_rectified(block)
    x = torch.randn(2, 64, 15, 16)
    out = block(x)
    size = {"none": (15, 16), "halve": (8, 8), "double": (30, 32)}[resize]
    assert out.shape == (2, 64, *size)
    if resize == "none":
        assert 0.7 < out.var().item() < 1.4
    for parameter in (block.conv1.weight, block.conv2.weight):
        nn.init.zeros_(parameter)
    plain = {
        "none": x,
        "halve": nn.functional.avg_pool2d(x, 2, ceil_mode=True),
        "double": x.repeat_interleave(2, 2).repeat_interleave(2, 3),
    }
    torch.testing.assert_close(block(x), plain[resize] / 2**0.5)


@pytest.mark.parametrize("make", ["mapping", "encoder", "discriminator"])
def test_each_image_gets_its_domain_s_head(make: str) -> None:
    torch.manual_seed(0)
    network, x = {
        "mapping": (DomainMapping(3, 4, 5, width=8), torch.randn(6, 4)),
        "encoder": (DomainStyleEncoder((3, 9, 13), 3, 5, features=4), torch.rand(6, 3, 9, 13)),
        "discriminator": (DomainDiscriminator((3, 9, 13), 3, features=4), torch.rand(6, 3, 9, 13)),
    }[make]
    domain = torch.tensor([0, 1, 2, 2, 1, 0])
    out = network(x, domain)
    assert out.shape == ((6,) if make == "discriminator" else (6, 5))
    for i, k in enumerate(domain.tolist()):
        torch.testing.assert_close(network(x[i : i + 1], torch.tensor([k]))[0], out[i], atol=1e-5, rtol=1e-4)
        others = [network(x[i : i + 1], torch.tensor([j]))[0] for j in range(3) if j != k]
        assert all((other - out[i]).abs().max() > 1e-3 for other in others)


def test_a_style_changes_the_image_at_any_size() -> None:
    torch.manual_seed(0)
    network = StyleTranslator((1, 32, 48), 4, features=4, coarsest=8)
    for size in ((32, 48), (1, 7), (33, 64)):
        x = torch.rand(2, 1, *size)
        out = network(x, torch.randn(2, 4))
        assert out.shape == x.shape
        assert (out - network(x, torch.randn(2, 4))).abs().mean() > 1e-2
