"""StarGAN's generator: one translation network for all attributes."""

__all__ = ["AttributeTranslator"]

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.nn.norms import Norm
from lit_gen.nn.resnet_translator import Border, ResNetTranslator
from lit_gen.nn.upsampling import Upsampling


class AttributeTranslator(nn.Module):
    r"""Creates a residual translation network that sees each wanted attribute as one more channel, the same everywhere.

    References:
        | StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation
        | (Choi et al., 2018), table 4
        | https://arxiv.org/abs/1711.09020

    Arguments:
        image_shape: The images' channels, height and width.
        num_attributes: The number of attributes A.
        features, max_features, blocks, norm, upsampling, border: See `lit_gen.nn.resnet_translator.ResNetTranslator`.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_attributes: int,
        features: int = 64,
        max_features: int = 256,
        blocks: int = 6,
        norm: Norm = "instance",
        upsampling: Upsampling = "transposed",
        border: Border = "zeros",
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.network = ResNetTranslator(
            (channels + num_attributes, height, width),
            image_shape,
            features=features,
            max_features=max_features,
            blocks=blocks,
            norm=norm,
            upsampling=upsampling,
            kernel=4,
            border=border,
        )

    def forward(self, image: Tensor, attributes: Tensor) -> Tensor:
        """Maps images [B, C, H, W] of any size and attributes [B, A] to images in [−1, 1], shape [B, C, H, W]."""
        maps = attributes.to(image.dtype)[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return self.network(torch.cat([image, maps], dim=1))
