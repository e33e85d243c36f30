"""The U-Net generator of pix2pix, for images of any size."""

__all__ = ["UNetGenerator"]

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.norms import Norm, initialise, make_norm
from lit_gen.nn.padding import cropped, padded
from lit_gen.nn.sizes import doubled_widths
from lit_gen.nn.upsampling import Upsampling, doubling


class UNetGenerator(nn.Module):
    r"""Creates a U-Net: an encoder that halves the map step by step, a decoder that sees each of the encoder's maps.

    The depth follows from the images' size in training: down to one pixel, in at most `depth` steps. Images whose sides
    are no multiples of 2^depth, now or later, are padded by mirroring and cropped back. The coarsest map is not
    normalised: of a map of one pixel nothing would be left.

    References:
        | Image-to-Image Translation with Conditional Adversarial Networks (Isola et al., 2017), appendix 6.1
        | https://arxiv.org/abs/1611.07004

    Arguments:
        source_shape: The source's channels, height and width; height and width at least 2.
        image_shape: The images' channels, height and width.
        features: The channels of the finest hidden map; each coarser one has twice as many.
        max_features: The most channels that any map gets.
        depth: The most halvings.
        dropout: The share of the coarsest three decoded maps that dropout sets to 0, the only noise there is.
        norm: ``instance``, which is the paper's batch norm at its batch size of 1; ``batch`` or ``none``.
        upsampling: ``transposed`` convolutions, or ``nearest`` pixels and a convolution.
    """

    def __init__(
        self,
        source_shape: Shape,
        image_shape: Shape,
        features: int = 64,
        max_features: int = 512,
        depth: int = 8,
        dropout: float = 0.5,
        norm: Norm = "instance",
        upsampling: Upsampling = "transposed",
    ) -> None:
        super().__init__()
        side = min(image_shape[1:])
        if depth < 1 or side < 2:
            raise UserError(f"a U-Net of depth {depth} for images of {side} pixels; it needs depth 1 and 2 pixels")
        if not 0 <= dropout < 1:
            raise UserError(f"UNetGenerator's dropout is {dropout}, and must be in [0, 1)")
        depth = min(depth, side.bit_length() - 1)  # 2^depth is at most the shorter side
        bias = norm == "none"
        widths = [source_shape[0], *doubled_widths(features, max_features, depth)]
        self.multiple = 2**depth
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for i in range(depth):
            outermost, innermost = i == 0, i == depth - 1
            convolution = nn.Conv2d(
                widths[i], widths[i + 1], 4, stride=2, padding=1, bias=bias or outermost or innermost
            )
            layers = [convolution] if outermost else [nn.LeakyReLU(0.2), convolution]
            layers += [] if outermost or innermost else [make_norm(norm, widths[i + 1])]
            self.encoder.append(nn.Sequential(*layers))
        for i in reversed(range(depth)):
            outermost, innermost = i == 0, i == depth - 1
            inputs, outputs = widths[i + 1] * (1 if innermost else 2), image_shape[0] if outermost else widths[i]
            layers = [nn.ReLU(), doubling(upsampling, inputs, outputs, 4, bias or outermost)]
            layers += [nn.Tanh()] if outermost else [make_norm(norm, outputs)]
            layers += [nn.Dropout(dropout)] if dropout and not outermost and depth - 1 - i < 3 else []
            self.decoder.append(nn.Sequential(*layers))
        initialise(self)

    def forward(self, source: Tensor) -> Tensor:
        """Maps sources [B, Cs, H, W] of any height and width to images in [−1, 1], shape [B, C, H, W]."""
        x, maps = padded(source, self.multiple), []
        for stage in self.encoder:
            x = stage(x)
            maps.append(x)
        x = self.decoder[0](maps.pop())
        for stage in self.decoder[1:]:
            x = stage(torch.cat([x, maps.pop()], dim=1))
        return cropped(x, *source.shape[2:])
