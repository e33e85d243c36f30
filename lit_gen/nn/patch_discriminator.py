"""The PatchGAN discriminator: a verdict on every patch of an image."""

__all__ = ["PatchDiscriminator"]

from typing import Literal

from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.norms import Norm, initialise, make_norm
from lit_gen.nn.sizes import doubled_widths
from lit_gen.nn.spectral_norm import normalise_spectra

_HALVINGS = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}


class PatchDiscriminator(nn.Module):
    r"""Creates a PatchGAN: a convolutional network each of whose logits sees a square patch of the image.

    After n halvings by 4×4 convolutions and two more 4×4 convolutions a logit sees 9·2^n − 2 pixels each way: 16, 34,
    70, 142, 286 for n of 1 to 5. For patches of one pixel all convolutions are 1×1. A patch as large as the image makes
    a discriminator of full images.

    References:
        | Image-to-Image Translation with Conditional Adversarial Networks (Isola et al., 2017), sections 3.2.2 and 4.4
        | https://arxiv.org/abs/1611.07004

    Arguments:
        image_shape: The channels, height and width of what it sees; of a conditional one, with the source's channels.
        num_classes: None: there is no discriminator of patches for classes.
        receptive_field: The patches' side: 1, 16, 34, 70, 142 or 286 pixels. The image may be smaller, down to 3 pixels
            per 2^n.
        features: The channels of the finest hidden map; each coarser one has twice as many.
        max_features: The most channels that any map gets.
        norm: ``instance``, which is the paper's batch norm at its batch size of 1; ``batch`` or ``none``; the first map
            is not normalised.
        spectral_norm: Whether every weight is divided by its largest singular value.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        receptive_field: Literal[1, 16, 34, 70, 142, 286] = 70,
        features: int = 64,
        max_features: int = 512,
        norm: Norm = "instance",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        if num_classes is not None:
            raise UserError("PatchDiscriminator has no classes: take another discriminator for a conditional model")
        channels, height, width = image_shape
        if receptive_field not in _HALVINGS:
            raise UserError(f"receptive_field is {receptive_field}; it can be {', '.join(map(str, _HALVINGS))}")
        fitting = [field for field, n in _HALVINGS.items() if not n or min(height, width) >= 3 * 2**n]
        if receptive_field not in fitting:
            raise UserError(
                f"receptive_field is {receptive_field}, but for images of {height}×{width} pixels it can be "
                f"{', '.join(map(str, fitting))}"
            )
        self.channels, halvings, bias = channels, _HALVINGS[receptive_field], norm == "none"
        kernel, padding = (4, 1) if halvings else (1, 0)
        strides = [2] * halvings + [1] * (2 if halvings else 3)
        widths = [channels, *doubled_widths(features, max_features, len(strides) - 1), 1]
        layers: list[nn.Module] = []
        for i, stride in enumerate(strides):
            first, last = i == 0, i == len(strides) - 1
            layers.append(nn.Conv2d(widths[i], widths[i + 1], kernel, stride, padding, bias=bias or first or last))
            layers += [] if first or last else [make_norm(norm, widths[i + 1])]
            layers += [] if last else [nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        initialise(self)
        if spectral_norm:
            normalise_spectra(self)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images [B, C, H, W] to logits [B, h, w], one per patch, positive where patches look real."""
        assert label is None and x.shape[1] == self.channels
        return self.layers(x)[:, 0]

    def feature_maps(self, x: Tensor) -> list[Tensor]:
        """Maps images [B, C, H, W] to each layer's map [B, C_l, H_l, W_l], the logits [B, 1, h, w] last."""
        maps = []
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                maps.append(x)
        return [*maps, x]
