"""Small autoregressive networks of every kind."""

__all__ = ["CLASSES", "NETWORKS", "made"]

from collections.abc import Callable
from functools import partial

import torch

from lit_gen.nn.causal_network import CausalNetwork
from lit_gen.nn.diagonal_bilstm import DiagonalBiLSTM
from lit_gen.nn.gated_pixelcnn import GatedPixelCNN
from lit_gen.nn.image_transformer import ImageTransformer
from lit_gen.nn.multi_scale_network import MultiScaleNetwork
from lit_gen.nn.pixel_rnn import PixelRNN
from lit_gen.nn.pixelcnn import PixelCNN
from lit_gen.nn.pixelcnnpp import PixelCNNPP
from lit_gen.nn.row_lstm import RowLSTM

CLASSES = 3
_GATED = partial(GatedPixelCNN, features=12, blocks=4, kernel_size=3, first_kernel_size=3)
_PLUS = partial(PixelCNNPP, features=6, blocks=1)
_ROW = partial(PixelRNN, layer=RowLSTM, features=6, blocks=2, kernel_size=3)
_DIAGONAL = partial(PixelRNN, layer=DiagonalBiLSTM, features=6, blocks=1, kernel_size=3)
_TRANSFORMER = partial(ImageTransformer, features=8, heads=2, blocks=2)
_SCALES = partial(MultiScaleNetwork, small=_GATED, large=_GATED, features=8)
# Name → what makes it, its shape (planes, height, width), its numbers for a pixel, its groups.
NETWORKS: dict[str, tuple[Callable[..., CausalNetwork], tuple[int, int, int], int, int]] = {
    "pixelcnn": (partial(PixelCNN, features=12, blocks=2), (1, 5, 4), 2, 1),
    "pixelcnn, channels": (partial(PixelCNN, features=12, blocks=2), (3, 4, 5), 6, 3),
    "pixelcnn, planes": (partial(PixelCNN, features=12, blocks=2, first_kernel_size=5), (4, 3, 3), 4, 2),
    "gated": (_GATED, (1, 5, 4), 2, 1),
    "gated, channels": (_GATED, (3, 4, 5), 3, 3),
    "gated, planes": (_GATED, (4, 3, 4), 2, 2),
    "pixelcnn++": (_PLUS, (1, 7, 5), 2, 1),
    "pixelcnn++, channels": (_PLUS, (3, 5, 6), 4, 1),
    "pixelcnn++, one resolution": (partial(_PLUS, resolutions=1, blocks=2), (2, 4, 4), 2, 1),
    "pixelcnn++, two": (partial(_PLUS, resolutions=2, blocks=2), (2, 4, 5), 2, 1),
    "row lstm": (_ROW, (1, 5, 4), 2, 1),
    "row lstm, planes": (_ROW, (4, 3, 4), 4, 2),
    "diagonal bilstm": (_DIAGONAL, (1, 5, 4), 2, 1),
    "diagonal bilstm, channels": (_DIAGONAL, (3, 4, 5), 6, 3),
    "diagonal bilstm, planes": (partial(_DIAGONAL, blocks=2), (4, 3, 4), 2, 2),
    "transformer": (_TRANSFORMER, (1, 5, 4), 2, 1),
    "transformer, channels": (_TRANSFORMER, (3, 4, 5), 6, 3),
    "transformer, planes": (_TRANSFORMER, (4, 3, 4), 2, 2),
    "two scales": (_SCALES, (1, 5, 4), 2, 1),
    "two scales, channels": (partial(_SCALES, small=_TRANSFORMER), (3, 4, 5), 3, 3),
    "two scales, planes": (partial(_SCALES, small=_DIAGONAL, stride=3), (4, 5, 4), 2, 2),
    "three scales": (partial(_SCALES, small=_SCALES), (1, 5, 5), 2, 1),
}


def made(name: str, num_classes: int | None = None) -> CausalNetwork:
    """Returns a network in evaluation mode and float64, always of the same weights."""
    factory, shape, num_outputs, groups = NETWORKS[name]
    torch.manual_seed(0)
    network = factory(input_shape=shape, num_outputs=num_outputs, groups=groups, num_classes=num_classes)
    return network.eval().double()
