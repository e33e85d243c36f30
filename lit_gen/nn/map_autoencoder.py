"""The convolutional encoder and decoder of VQ-VAE, between images and smaller maps."""

__all__ = ["MapDecoder", "MapEncoder"]

import itertools

from torch import Tensor, nn
from torch.nn.functional import relu

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.sizes import doubled_widths, halved, halving_kernel


class _Block(nn.Module):
    """Creates ReLU, 3×3, ReLU, 1×1, added to what came in."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, H, W] to the same shape."""
        return x + self.conv2(relu(self.conv1(relu(x))))


class MapEncoder(nn.Module):
    r"""Creates an encoder: 4×4 convolutions of stride 2 with ReLU, residual blocks (ReLU, 3×3, ReLU, 1×1), a 1×1.

    The defaults are the paper's. An odd side is halved by a kernel of 3 to its upper half. There is no norm: an image's
    map depends on no other image.

    References:
        | Neural Discrete Representation Learning (van den Oord, Vinyals & Kavukcuoglu, 2017), section 4.1
        | https://arxiv.org/abs/1711.00937

    Arguments:
        image_shape: The images' channels, height and width.
        channels: The channels D of the map that comes out.
        halvings: How often both sides are halved.
        blocks: The number of residual blocks.
        features: The channels of the finest hidden map; each coarser one has twice as many.
        max_features: The most channels that any hidden map gets.

    Attributes:
        map_size: The height and width of the map that comes out.
    """

    def __init__(
        self,
        image_shape: Shape,
        channels: int,
        halvings: int = 2,
        blocks: int = 2,
        features: int = 256,
        max_features: int = 256,
    ) -> None:
        super().__init__()
        sizes, widths = halved(image_shape, halvings), doubled_widths(features, max_features, max(halvings, 1))
        self.map_size = sizes[-1]
        layers: list[nn.Module] = [] if halvings else [nn.Conv2d(image_shape[0], widths[0], 3, padding=1)]
        for fine, (inputs, outputs) in zip(sizes[:-1], itertools.pairwise([image_shape[0], *widths]), strict=False):
            layers += [nn.Conv2d(inputs, outputs, halving_kernel(fine), stride=2, padding=1), nn.ReLU()]
        layers += [_Block(widths[-1]) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(widths[-1], channels, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Maps images in [−1, 1], [B, C, H, W], to maps [B, D, h, w]."""
        return self.layers(image)


class MapDecoder(nn.Module):
    r"""Creates the counterpart of `MapEncoder`: a 3×3, residual blocks, transposed convolutions that double the map.

    Arguments:
        map_shape: The channels, height and width of the map that comes in.
        output_shape: The channels, height and width of what comes out; halved some times it has the map's size.
        blocks: The number of residual blocks.
        features: The channels of the finest hidden map; each coarser one has twice as many.
        max_features: The most channels that any hidden map gets.
    """

    def __init__(
        self, map_shape: Shape, output_shape: Shape, blocks: int = 2, features: int = 256, max_features: int = 256
    ) -> None:
        super().__init__()
        sizes = _between(map_shape, output_shape)
        widths = doubled_widths(features, max_features, max(len(sizes) - 1, 1))[::-1]
        layers: list[nn.Module] = [nn.Conv2d(map_shape[0], widths[0], 3, padding=1)]
        layers += [*(_Block(widths[0]) for _ in range(blocks)), nn.ReLU()]
        for i, fine in enumerate(sizes[1:]):
            last = i == len(sizes) - 2
            outputs = output_shape[0] if last else widths[i + 1]
            layers.append(nn.ConvTranspose2d(widths[i], outputs, halving_kernel(fine), stride=2, padding=1))
            layers += [] if last else [nn.ReLU()]
        layers += [nn.Conv2d(widths[-1], output_shape[0], 3, padding=1)] if len(sizes) == 1 else []
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Maps maps [B, D, h, w] to numbers without bounds, [B, C, H, W]."""
        return self.layers(x)


def _between(map_shape: Shape, output_shape: Shape) -> list[tuple[int, int]]:
    """Lists the sizes from the map's to the output's, each the upper half of the next."""
    most = (min(output_shape[1:]) - 1).bit_length()
    sizes = halved(output_shape, most)
    wanted = (map_shape[1], map_shape[2])
    if wanted not in sizes:
        raise UserError(
            f"a map of {wanted[0]}×{wanted[1]} is no half, quarter … of {output_shape[1]}×{output_shape[2]} pixels: "
            "take an encoder that halves its map, such as MapEncoder"
        )
    return sizes[: sizes.index(wanted) + 1][::-1]
