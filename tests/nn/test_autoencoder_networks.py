"""Encoders and decoders: shapes at every size, and rows that do not see each other."""

import pytest
import torch
from torch import nn

from lit_gen.errors import UserError
from lit_gen.nn.convolutional_autoencoder import ConvolutionalDecoder, ConvolutionalEncoder
from lit_gen.nn.dense_autoencoder import DenseDecoder, DenseEncoder
from lit_gen.nn.map_autoencoder import MapDecoder, MapEncoder

SHAPES = [(1, 28, 28), (3, 9, 13), (1, 8, 21)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize(
    ("encoder", "decoder"), [(DenseEncoder, DenseDecoder), (ConvolutionalEncoder, ConvolutionalDecoder)]
)
def test_vectors(shape, num_classes, encoder: type[nn.Module], decoder: type[nn.Module]) -> None:
    torch.manual_seed(0)
    label = None if num_classes is None else torch.tensor([0, 2, 1])
    x, z = torch.rand(3, *shape) * 2 - 1, torch.randn(3, 5)
    down = encoder(image_shape=shape, num_outputs=7, num_classes=num_classes)
    up = decoder(output_shape=(2 * shape[0], *shape[1:]), latent_dim=5, num_classes=num_classes)
    assert down(x, label).shape == (3, 7)
    assert up(z, label).shape == (3, 2 * shape[0], *shape[1:])
    torch.testing.assert_close(down(x[1:2], None if label is None else label[1:2])[0], down(x, label)[1])
    assert up(1e6 * z, label).abs().max() > 1, "what comes out has no bounds"
    if label is not None:
        assert not torch.allclose(down(x, label), down(x, label.flip(0)))
        assert not torch.allclose(up(z, label), up(z, label.flip(0)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("halvings", [0, 1, 3])
def test_maps(shape, halvings: int) -> None:
    encoder = MapEncoder(shape, 6, halvings, features=4, max_features=8)
    z = encoder(torch.rand(2, *shape))
    assert z.shape == (2, 6, *encoder.map_size)
    assert encoder.map_size == tuple(-(-side // 2**halvings) for side in shape[1:])
    decoder = MapDecoder((6, *encoder.map_size), (5, *shape[1:]), features=4, max_features=8)
    assert decoder(z).shape == (2, 5, *shape[1:])


def test_the_papers_networks_have_the_papers_widths() -> None:
    encoder = MapEncoder((3, 32, 32), 64)
    assert encoder.map_size == (8, 8)
    convs = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    shapes = [(256, 3, 4, 4), (256, 256, 4, 4), *[(256, 256, 3, 3), (256, 256, 1, 1)] * 2, (64, 256, 1, 1)]
    assert [tuple(conv.weight.shape) for conv in convs] == shapes


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(UserError, match="halvings is 5; images of 9×13 pixels can be halved 0 to 4 times"):
        MapEncoder((1, 9, 13), 4, halvings=5)
    with pytest.raises(UserError, match="a map of 6×7 is no half"):
        MapDecoder((4, 6, 7), (1, 28, 28))
