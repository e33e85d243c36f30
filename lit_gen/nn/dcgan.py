"""The DCGAN generator and discriminator, for any image size from 8 pixels up."""

__all__ = ["DCGANDiscriminator", "DCGANGenerator"]

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.sizes import doubled_widths, halving_kernel, halvings
from lit_gen.nn.spectral_norm import normalise_spectra

_NORMS: dict[str, Callable[[int], nn.Module] | None] = {
    "batch": nn.BatchNorm2d,
    "layer": partial(nn.GroupNorm, 1),  # one group: over channels and positions
    "none": None,
    "spectral": None,
}


def _initialise(network: nn.Module) -> None:
    """Draws every convolution's weights from N(0, 0.02²), as section 4 of the paper says."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class DCGANGenerator(nn.Module):
    r"""Creates a DCGAN generator: transposed convolutions, batch norm and ReLU, tanh at the end.

    The latent is projected to a map of about 4×4, which each layer doubles in size and halves in channels. With
    classes, the label's one-hot code is appended to the latent.

    References:
        | Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks
        | (Radford, Metz & Chintala, 2016)
        | https://arxiv.org/abs/1511.06434

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        latent_dim: The size of the latent.
        num_classes: The number of classes of a conditional generator, None for an unconditional one.
        features: The channels of the finest hidden map; each coarser one has twice as many.
        max_features: The most channels that any map gets.
    """

    def __init__(
        self,
        image_shape: Shape,
        latent_dim: int,
        num_classes: int | None = None,
        features: int = 64,
        max_features: int = 1024,
    ) -> None:
        super().__init__()
        self.latent_dim, self.num_classes = latent_dim, num_classes
        sizes = halvings(image_shape)[::-1]
        widths = [image_shape[0], *doubled_widths(features, max_features, len(sizes) - 1)][::-1]
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent_dim + (num_classes or 0), widths[0], sizes[0], bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        ]
        for i, fine in enumerate(sizes[1:]):
            last = i == len(sizes) - 2
            layers.append(
                nn.ConvTranspose2d(widths[i], widths[i + 1], halving_kernel(fine), stride=2, padding=1, bias=last)
            )
            layers += [nn.Tanh()] if last else [nn.BatchNorm2d(widths[i + 1]), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        _initialise(self)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents to images.

        Arguments:
            z: Latents, shape [B, latent_dim].
            label: Class labels, shape [B]; needed exactly when the generator is conditional.

        Returns:
            Images in [−1, 1], shape [B, C, H, W].
        """
        assert z.ndim == 2 and z.shape[1] == self.latent_dim
        assert (label is not None) == (self.num_classes is not None)
        if label is not None and self.num_classes is not None:
            z = torch.cat([z, nn.functional.one_hot(label, self.num_classes).to(z.dtype)], dim=1)
        return self.layers(z[:, :, None, None])


class DCGANDiscriminator(nn.Module):
    r"""Creates a DCGAN discriminator: strided convolutions, batch norm and LeakyReLU; no batch norm on the first.

    It mirrors `DCGANGenerator`. With classes, the label's one-hot code is appended to the image as constant channels.

    References:
        | Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks
        | (Radford, Metz & Chintala, 2016)
        | https://arxiv.org/abs/1511.06434

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        num_classes: The number of classes of a conditional discriminator, None for an unconditional one.
        features: The channels of the finest hidden map; each coarser one has twice as many.
        max_features: The most channels that any map gets.
        negative_slope: The slope of LeakyReLU below zero.
        num_outputs: The outputs, the logit first.
        norm: The normalisation: the paper's ``batch``; under a gradient penalty, ``layer`` or ``none``, for batch norm
            makes an image's logit depend on the others; ``spectral`` normalises every weight instead of any map.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        features: int = 64,
        max_features: int = 1024,
        negative_slope: float = 0.2,
        num_outputs: int = 1,
        norm: Literal["batch", "layer", "none", "spectral"] = "batch",
    ) -> None:
        super().__init__()
        if norm not in _NORMS:
            raise UserError(f"DCGANDiscriminator's norm is '{norm}'; it can be {', '.join(_NORMS)}")
        make_norm = _NORMS[norm]
        self.image_shape, self.num_classes = tuple(image_shape), num_classes
        sizes = halvings(image_shape)
        widths = [image_shape[0] + (num_classes or 0), *doubled_widths(features, max_features, len(sizes) - 1)]
        layers: list[nn.Module] = []
        for i, fine in enumerate(sizes[:-1]):
            first = i == 0
            bare = first or make_norm is None
            layers.append(nn.Conv2d(widths[i], widths[i + 1], halving_kernel(fine), stride=2, padding=1, bias=bare))
            layers += [] if first or make_norm is None else [make_norm(widths[i + 1])]
            layers.append(nn.LeakyReLU(negative_slope, inplace=True))
        layers.append(nn.Conv2d(widths[-1], num_outputs, sizes[-1]))
        self.layers = nn.Sequential(*layers)
        _initialise(self)
        if norm == "spectral":
            normalise_spectra(self)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images to logits, positive where they look real.

        Arguments:
            x: Images in [−1, 1], shape [B, C, H, W].
            label: Class labels, shape [B]; needed exactly when the discriminator is conditional.

        Returns:
            Logits, shape [B]; with more than one output [B, num_outputs], the logit first.
        """
        assert x.shape[1:] == self.image_shape
        assert (label is not None) == (self.num_classes is not None)
        if label is not None and self.num_classes is not None:
            planes = nn.functional.one_hot(label, self.num_classes).to(x.dtype)
            x = torch.cat([x, planes[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)
        outputs = self.layers(x).flatten(1)
        return outputs if outputs.shape[1] > 1 else outputs[:, 0]
