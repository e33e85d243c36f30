"""An image's style as a Gaussian."""

__all__ = ["StyleEncoder"]

import itertools

from torch import Tensor, nn
from torch.nn.functional import interpolate

from lit_gen.contracts import Shape
from lit_gen.nn.sizes import doubled_widths, halvings
from lit_gen.nn.spectral_norm import normalise_spectra


class StyleEncoder(nn.Module):
    r"""Creates the encoder of SPADE: 3×3 convolutions that halve, instance norm, leaky ReLU; two linear layers.

    Images of another size than the one it is made for are resized to that.

    References:
        | Semantic Image Synthesis with Spatially-Adaptive Normalization (Park et al., 2019), section 3.2, appendix A
        | https://arxiv.org/abs/1903.07291

    Arguments:
        image_shape: The images' channels, height and width.
        latent_dim: The size of the Gaussian.
        features: The channels of the finest map; each coarser one has twice as many.
        max_features: The most channels that any map gets.
        spectral_norm: Whether the convolutions' weights are divided by their largest singular values.
    """

    def __init__(
        self,
        image_shape: Shape,
        latent_dim: int,
        features: int = 64,
        max_features: int = 512,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        sizes = halvings(image_shape)
        widths = [image_shape[0], *doubled_widths(features, max_features, len(sizes) - 1)]
        self.size, layers = sizes[0], list[nn.Module]()
        for inputs, outputs in itertools.pairwise(widths):
            layers.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False))
            layers += [nn.InstanceNorm2d(outputs), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        last = widths[-1] * sizes[-1][0] * sizes[-1][1]
        self.mean, self.log_variance = nn.Linear(last, latent_dim), nn.Linear(last, latent_dim)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        if spectral_norm:
            normalise_spectra(self.layers)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Maps images [B, C, H, W] to mean and log-variance, both [B, latent_dim]."""
        if tuple(image.shape[2:]) != self.size:
            image = interpolate(image, self.size, mode="bilinear", antialias=True, align_corners=False)
        h = self.layers(image)
        return self.mean(h), self.log_variance(h)
