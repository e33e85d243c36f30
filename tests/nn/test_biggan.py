"""BigGAN: each block sees its chunk and the class, the paper's widths, orthogonal and spectrally normalised weights."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from lit_gen.errors import UserError
from lit_gen.nn.biggan import BigGANDiscriminator, BigGANGenerator

SHAPES = [(1, 8, 8), (1, 9, 15), (3, 28, 28), (2, 37, 50), (1, 128, 8)]
TINY = {"features": 4, "max_features": 8}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("num_classes", [None, 3])
def test_any_shape(shape: tuple[int, int, int], num_classes: int | None) -> None:
    generator = BigGANGenerator(shape, 7, num_classes, embedding_dim=5, **TINY)
    discriminator = BigGANDiscriminator(shape, num_classes, num_outputs=2, **TINY)
    label = None if num_classes is None else torch.tensor([0, 2])
    x = generator(torch.randn(2, 7), label)
    assert x.shape == (2, *shape)
    outputs = discriminator(x, label)
    assert outputs.shape == (2, 2)
    assert BigGANDiscriminator(shape, num_classes, **TINY)(x, label).shape == (2,)
    outputs.sum().backward()
    for name, parameter in [*generator.named_parameters(), *discriminator.named_parameters()]:
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert generator.eval()(torch.randn(1, 7), None if label is None else label[:1]).shape == (1, *shape)


@pytest.mark.parametrize("num_classes", [None, 3])
def test_each_block_sees_its_chunk_and_the_class_and_nothing_else(num_classes: int | None) -> None:
    torch.manual_seed(0)
    generator = BigGANGenerator((1, 32, 32), 10, num_classes, embedding_dim=5, **TINY).eval()
    seen: list[Tensor] = []
    for block in generator.decoder.blocks:
        block.norm1.gain.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    first: list[Tensor] = []
    generator.decoder.linear.register_forward_hook(lambda _, inputs, __: first.append(inputs[0]))
    z = torch.arange(20.0).view(2, 10)
    label = None if num_classes is None else torch.tensor([2, 0])
    generator(z, label)
    chunks = [z[:, 0:3], z[:, 3:6], z[:, 6:8], z[:, 8:10]]  # ten numbers for one map and three blocks
    torch.testing.assert_close(first[0], chunks[0])
    for got, chunk in zip(seen, chunks[1:], strict=True):
        embedded = z[:, :0] if label is None else generator.embedding.weight[label]
        torch.testing.assert_close(got, torch.cat([embedded, chunk], 1))


@pytest.mark.parametrize("chunk", range(4))
def test_every_chunk_matters(chunk: int) -> None:
    torch.manual_seed(0)
    generator = BigGANGenerator((1, 32, 32), 8, **TINY).eval()
    z = torch.randn(1, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(generator(z).square().sum(), z)
    assert gradient[0, 2 * chunk : 2 * chunk + 2].abs().max() > 0


def test_the_label_matters_from_the_start() -> None:
    torch.manual_seed(0)
    generator, discriminator = BigGANGenerator((1, 8, 8), 4, 3, **TINY), BigGANDiscriminator((1, 8, 8), 3, **TINY)
    z, a, b = torch.randn(1, 4), torch.tensor([0]), torch.tensor([1])
    x = generator.eval()(z, a)
    assert not torch.allclose(x, generator(z, b))
    assert not torch.allclose(discriminator.eval()(x, a), discriminator(x, b))


def test_the_paper_s_128_pixel_networks() -> None:
    """Table 4 with ch = 96: 16, 16, 8, 4, 2, 1 and 1, 2, 4, 8, 16, 16; attention at 64×64; chunks of 20 from 120."""
    with torch.device("meta"):
        generator = BigGANGenerator((3, 128, 128), 120, 1000)
        discriminator = BigGANDiscriminator((3, 128, 128), 1000)
    blocks = generator.decoder.blocks
    assert generator.decoder.first_shape == (1536, 4, 4)
    assert [block.conv2.out_channels for block in blocks] == [1536, 768, 384, 192, 96]
    assert [len(list(layer.parameters())) > 0 for layer in generator.decoder.attention] == [0, 0, 0, 1, 0]
    assert generator.decoder.linear.in_features == 20
    assert all(block.norm1.gain.in_features == 20 + 128 for block in blocks)
    blocks = discriminator.encoder.blocks
    assert [block.conv2.out_channels for block in blocks] == [96, 192, 384, 768, 1536, 1536]
    assert [block.conv1.out_channels for block in blocks] == [96, 192, 384, 768, 1536, 1536]
    assert [block.halve for block in blocks] == [True] * 5 + [False]
    assert [len(list(layer.parameters())) > 0 for layer in discriminator.encoder.attention] == [1, 0, 0, 0, 0, 0]
    # Appendix B counts 70.4 million parameters in G and 88 million in D.
    assert sum(p.numel() for p in generator.parameters()) == pytest.approx(70.4e6, rel=0.01)
    assert sum(p.numel() for p in discriminator.parameters()) == pytest.approx(88.0e6, rel=0.01)


def test_everything_but_the_shared_embedding_is_spectrally_normalised() -> None:
    generator, discriminator = BigGANGenerator((1, 8, 8), 4, 3, **TINY), BigGANDiscriminator((1, 8, 8), 3, **TINY)
    for network in (generator, discriminator):
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
                assert is_parametrized(layer) == (layer is not generator.embedding), name


def test_weights_start_orthogonal() -> None:
    generator = BigGANGenerator((1, 8, 8), 4, 3, **TINY)
    for name, weight in generator.named_parameters():
        if weight.ndim > 1:
            singular = torch.linalg.svdvals(weight.detach().flatten(1))
            torch.testing.assert_close(singular, torch.ones_like(singular), msg=name)


def test_latents_that_are_too_small_to_split_are_refused() -> None:
    with pytest.raises(UserError, match=r"latent_dim is 3; .* at least 4"):
        BigGANGenerator((1, 32, 32), 3)
    with pytest.raises(UserError, match="embedding_dim"):
        BigGANGenerator((1, 32, 32), 8, 3, embedding_dim=0)
