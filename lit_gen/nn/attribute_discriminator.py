"""StarGAN's discriminator: a verdict on every patch, and the image's attributes."""

__all__ = ["AttributeDiscriminator"]

import itertools

from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.sizes import doubled_widths

_DEEPEST = 6  # the paper's, for 128 pixels


class AttributeDiscriminator(nn.Module):
    r"""Creates a PatchGAN of halving convolutions, without norms, with a second head that classifies attributes.

    References:
        | StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation
        | (Choi et al., 2018), table 5
        | https://arxiv.org/abs/1711.09020

    Arguments:
        image_shape: The images' channels, height and width.
        num_attributes: The number of attributes A.
        features: The channels of the finest hidden map; each coarser one has twice as many.
        max_features: The most channels that any map gets.
        depth: The halvings; by default as many as leave the shorter side 2 pixels, at most 6.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_attributes: int,
        features: int = 64,
        max_features: int = 2048,
        depth: int | None = None,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        most = min(height, width).bit_length() - 1
        if most < 2:
            raise UserError(f"AttributeDiscriminator needs images of at least 4×4 pixels; these are {height}×{width}")
        depth = min(most - 1, _DEEPEST) if depth is None else depth
        if not 1 <= depth <= most:
            raise UserError(
                f"AttributeDiscriminator's depth is {depth}, but for images of {height}×{width} pixels it can be 1 to "
                f"{most}"
            )
        self.image_shape = tuple(image_shape)
        layers: list[nn.Module] = []
        widths = [channels, *doubled_widths(features, max_features, depth)]
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(*layers)
        self.verdict = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        whole = (height >> depth, width >> depth)
        self.classifier = nn.Conv2d(widths[-1], num_attributes, whole, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps images [B, C, H, W] to logits of patches [B, h, w] and of attributes [B, A]."""
        assert x.shape[1:] == self.image_shape
        x = self.layers(x)
        return self.verdict(x)[:, 0], self.classifier(x)[:, :, 0, 0]
