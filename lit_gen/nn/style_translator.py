"""StarGAN v2's generator: the content of an image in a given style."""

__all__ = ["StyleTranslator"]

from functools import partial

from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.adaptive_norm import AdaptiveInstanceNorm2d
from lit_gen.nn.leaky_residual import LeakyBlock, initialise_rectified
from lit_gen.nn.padding import cropped, padded
from lit_gen.nn.sizes import doubled_widths, halvings


class StyleTranslator(nn.Module):
    r"""Creates a residual network whose halving half has instance norm and whose doubling half takes a style by AdaIN.

    Images whose sides cannot be halved as often are padded by mirroring and cropped back. As in the paper, images come
    out of a convolution, without bounds. The skip connections that the authors add for faces are left out: they need
    a network that finds landmarks.

    References:
        | StarGAN v2: Diverse Image Synthesis for Multiple Domains (Choi et al., 2020), table 5
        | https://arxiv.org/abs/1912.01865

    Arguments:
        image_shape: The images' channels, height and width.
        style_dim: The size S of styles.
        features: The channels of the finest map; each coarser one has twice as many. The authors' code has 64 at 256
            pixels, 256 at 64.
        max_features: The most channels that any map gets.
        coarsest: Maps are halved until the shorter side is at most this, at least 2.
        blocks: The blocks at the coarsest map, in each half.
    """

    def __init__(
        self,
        image_shape: Shape,
        style_dim: int,
        features: int = 64,
        max_features: int = 512,
        coarsest: int = 16,
        blocks: int = 2,
    ) -> None:
        super().__init__()
        if coarsest < 2 or blocks < 1:
            raise UserError(
                f"StyleTranslator's coarsest is {coarsest} and its blocks are {blocks}; they must be at least 2 and 1"
            )
        self.halvings = len(halvings(image_shape, coarsest)) - 1
        widths = doubled_widths(features, max_features, self.halvings + 1)
        instance = partial(nn.InstanceNorm2d, affine=True)
        adaptive = partial(AdaptiveInstanceNorm2d, style_dim=style_dim)
        self.from_image = nn.Conv2d(image_shape[0], widths[0], 3, padding=1)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for i in range(self.halvings):
            self.encoder.append(LeakyBlock(widths[i], widths[i + 1], "halve", instance))
            self.decoder.insert(0, LeakyBlock(widths[i + 1], widths[i], "double", adaptive))
        for _ in range(blocks):
            self.encoder.append(LeakyBlock(widths[-1], widths[-1], norm=instance))
            self.decoder.insert(0, LeakyBlock(widths[-1], widths[-1], norm=adaptive))
        to_image = nn.Conv2d(widths[0], image_shape[0], 1)
        self.to_image = nn.Sequential(instance(widths[0]), nn.LeakyReLU(0.2), to_image)
        initialise_rectified(self)

    def forward(self, image: Tensor, s: Tensor) -> Tensor:
        """Maps images [B, C, H, W] of any height and width and styles [B, S] to images [B, C, H, W]."""
        # At the coarsest map of one pixel there would be nothing to normalise.
        x = self.from_image(padded(image, 2**self.halvings, 2 * 2**self.halvings))
        for block in self.encoder:
            x = block(x)
        for block in self.decoder:
            x = block(x, s)
        return cropped(self.to_image(x), *image.shape[2:])
