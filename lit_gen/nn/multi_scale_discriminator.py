"""Discriminators of patches at several scales of an image."""

__all__ = ["MultiScaleDiscriminator"]

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.norms import Norm
from lit_gen.nn.patch_discriminator import PatchDiscriminator


class MultiScaleDiscriminator(nn.Module):
    r"""Creates PatchGANs with weights of their own for the image, for its half, and so on.

    References:
        | High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs
        | (Wang et al., 2018), section 3.2
        | https://arxiv.org/abs/1711.11585

        | Semantic Image Synthesis with Spatially-Adaptive Normalization (Park et al., 2019), section 3.1, appendix A
        | https://arxiv.org/abs/1903.07291

    Arguments:
        image_shape: The channels, height and width of what it sees; of a conditional one, with the condition's.
        num_classes: None: there is no discriminator of patches for classes.
        num_scales: The number of scales.
        receptive_field, features, max_features, norm, spectral_norm: See `PatchDiscriminator`; the patches of each
            scale's own pixels.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        num_scales: int = 2,
        receptive_field: Literal[1, 16, 34, 70, 142, 286] = 70,
        features: int = 64,
        max_features: int = 512,
        norm: Norm = "instance",
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        if num_scales < 1:
            raise UserError(f"MultiScaleDiscriminator's num_scales is {num_scales}, and must be at least 1")
        channels, height, width = image_shape
        self.parts = nn.ModuleList()
        for _ in range(num_scales):
            shape = (channels, height, width)
            self.parts.append(
                PatchDiscriminator(shape, num_classes, receptive_field, features, max_features, norm, spectral_norm)
            )
            height, width = (height + 1) // 2, (width + 1) // 2

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images [B, C, H, W] to logits [B, n], those of all patches of all scales."""
        assert label is None
        return torch.cat([maps[-1].flatten(1) for maps in self.scales(x)], dim=1)

    def scales(self, image: Tensor) -> list[list[Tensor]]:
        """Maps images [B, C, H, W] to each scale's maps [B, C_l, H_l, W_l], its logits [B, 1, h, w] last."""
        found = []
        for i, part in enumerate(self.parts):
            # Zeros beyond the border would darken it, so they are not counted.
            image = avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False) if i else image
            assert isinstance(part, PatchDiscriminator)
            found.append(part.feature_maps(image))
        return found
