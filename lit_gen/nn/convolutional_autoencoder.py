"""The convolutional encoder and decoder between images and vectors."""

__all__ = ["ConvolutionalDecoder", "ConvolutionalEncoder"]

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu

from lit_gen.contracts import Shape
from lit_gen.nn.dense import with_label
from lit_gen.nn.map_autoencoder import MapDecoder, MapEncoder
from lit_gen.nn.sizes import halvings


class ConvolutionalEncoder(nn.Module):
    r"""Creates an encoder: strided convolutions down to 4 pixels or less, residual blocks, two dense layers.

    It is β-VAE's but for the blocks. With classes, the label's one-hot code is appended to the image as constant
    channels.

    References:
        | β-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework (Higgins et al., 2017), table 1
        | https://openreview.net/forum?id=Sy2fzU9gl

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        num_outputs: The size of what comes out.
        num_classes: The number of classes of a conditional encoder, None for an unconditional one.
        features: The channels of the finest hidden map; each coarser one has twice as many.
        max_features: The most channels that any map gets.
        blocks: The number of residual blocks on the coarsest map.
        width: The units of the hidden dense layer.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_outputs: int,
        num_classes: int | None = None,
        features: int = 32,
        max_features: int = 64,
        blocks: int = 0,
        width: int = 256,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        seen = (image_shape[0] + (num_classes or 0), image_shape[1], image_shape[2])
        num = len(halvings(image_shape)) - 1
        channels = min(features * 2 ** (num - 1), max_features)
        self.maps = MapEncoder(seen, channels, num, blocks, features, max_features)
        height, across = self.maps.map_size
        self.dense = nn.Sequential(nn.Linear(channels * height * across, width), nn.ReLU())
        self.head = nn.Linear(width, num_outputs)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images in [−1, 1], [B, C, H, W], and labels [B] if it is conditional, to [B, num_outputs]."""
        assert (label is not None) == (self.num_classes is not None)
        if label is not None and self.num_classes is not None:
            planes = one_hot(label, self.num_classes).to(image.dtype)
            image = torch.cat([image, planes[:, :, None, None].expand(-1, -1, *image.shape[2:])], dim=1)
        return self.head(self.dense(relu(self.maps(image)).flatten(1)))


class ConvolutionalDecoder(nn.Module):
    r"""Creates the counterpart of `ConvolutionalEncoder`; with classes, the label's one-hot code joins the latent.

    Arguments:
        output_shape: The channels, height and width of what comes out; height and width at least 8.
        latent_dim: The size of the latent.
        num_classes, features, max_features, blocks, width: See `ConvolutionalEncoder`.
    """

    def __init__(
        self,
        output_shape: Shape,
        latent_dim: int,
        num_classes: int | None = None,
        features: int = 32,
        max_features: int = 64,
        blocks: int = 0,
        width: int = 256,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        sizes = halvings(output_shape)
        channels = min(features * 2 ** (len(sizes) - 2), max_features)
        self.map_shape = (channels, *sizes[-1])
        first = nn.Linear(latent_dim + (num_classes or 0), width)
        self.dense = nn.Sequential(first, nn.ReLU(), nn.Linear(width, channels * sizes[-1][0] * sizes[-1][1]))
        self.maps = MapDecoder(self.map_shape, output_shape, blocks, features, max_features)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents [B, latent_dim], and labels [B] if it is conditional, to numbers [B, C, H, W]."""
        x = self.dense(with_label(z, label, self.num_classes))
        return self.maps(relu(x).unflatten(1, self.map_shape))
