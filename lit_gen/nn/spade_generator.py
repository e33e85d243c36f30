"""The generator of SPADE: images from a map of what stands where, of any size."""

__all__ = ["SpadeGenerator"]

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.norms import Norm
from lit_gen.nn.padding import cropped, padded
from lit_gen.nn.residual import upsample
from lit_gen.nn.sizes import doubled_widths, halvings
from lit_gen.nn.spade_norm import SpadeNorm
from lit_gen.nn.spectral_norm import normalise_spectra


class SpadeGenerator(nn.Module):
    r"""Creates a generator of residual blocks with spatially adaptive norms, one block per size, each twice the last.

    The coarsest map comes from noise, or, with a `latent_dim` of 0, from the condition itself. Every block sees the
    condition at its own size: every 2^i-th pixel, which is nearest-neighbour resizing that stays in step with maps
    doubled by repeating pixels, at odd sizes too. At other sizes than the one it is made for, the coarsest map that
    noise gives is resized by the nearest pixel; conditions so small that a map would have one pixel, which no norm can
    do with, are padded by mirroring, and the image is cropped back.

    References:
        | Semantic Image Synthesis with Spatially-Adaptive Normalization (Park et al., 2019), section 3.1, appendix A
        | https://arxiv.org/abs/1903.07291

    Arguments:
        source_shape: The condition's channels, height and width.
        image_shape: The images' channels, height and width.
        latent_dim: The size of the noise; 0 for none.
        features: The channels of the finest map; each coarser one has twice as many.
        max_features: The most channels that any map gets.
        hidden_features: The channels within each norm's network.
        coarsest: Halving stops once the shorter side is at most this.
        norm: The norms' own: ``batch``, the paper's; ``instance``, which suits small batches better; or ``none``.
        spectral_norm: Whether the weights of the blocks' convolutions are divided by their largest singular values.
    """

    def __init__(
        self,
        source_shape: Shape,
        image_shape: Shape,
        latent_dim: int,
        features: int = 64,
        max_features: int = 1024,
        hidden_features: int = 128,
        coarsest: int = 4,
        norm: Norm = "batch",
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        if latent_dim < 0 or hidden_features < 1:
            raise UserError(
                f"SpadeGenerator's latent_dim is {latent_dim} and hidden_features {hidden_features}; they must be at "
                "least 0 and 1"
            )
        sizes, condition = halvings(image_shape, coarsest), source_shape[0]
        widths = doubled_widths(features, max_features, len(sizes))[::-1]
        self.halvings, self.latent_dim, self.start = len(sizes) - 1, latent_dim, (widths[0], *sizes[-1])
        if latent_dim:
            self.first: nn.Linear | nn.Conv2d = nn.Linear(latent_dim, widths[0] * sizes[-1][0] * sizes[-1][1])
        else:
            self.first = nn.Conv2d(condition, widths[0], 3, padding=1, bias=norm == "none")
        blocks = [
            _Block(inputs, outputs, lambda channels: SpadeNorm(channels, condition, hidden_features, norm))
            for inputs, outputs in zip([widths[0], *widths], widths, strict=False)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Conv2d(widths[-1], image_shape[0], 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for block in blocks if spectral_norm else ():
            for layer in block.convolutions():
                normalise_spectra(layer)

    def forward(self, condition: Tensor, z: Tensor | None = None) -> Tensor:
        """Maps conditions [B, S, H, W] and noise [B, latent_dim] to images in [−1, 1], shape [B, C, H, W]."""
        assert (z is not None) == bool(self.latent_dim)
        whole = padded(condition, 1, 2**self.halvings + 1)
        maps = [whole[:, :, :: 2**i, :: 2**i].contiguous() for i in reversed(range(self.halvings + 1))]
        if z is None:
            x = self.first(maps[0])
        else:
            x = self.first(z).view(len(z), *self.start)
            x = x if x.shape[2:] == maps[0].shape[2:] else interpolate(x, maps[0].shape[2:], mode="nearest")
        for block, m in zip(self.blocks, maps, strict=True):
            height, width = m.shape[2:]
            x = block(x if x.shape[2:] == m.shape[2:] else upsample(x, (height, width)), m)
        return torch.tanh(cropped(self.last(leaky_relu(x, 0.2)), *condition.shape[2:]))


class _Block(nn.Module):
    """Creates a residual block: norm, leaky ReLU, 3×3, twice; where channels change, norm and 1×1 beside it.

    Convolutions have no bias: the norm that follows would take it out again.
    """

    def __init__(self, inputs: int, outputs: int, norm: Callable[[int], SpadeNorm]) -> None:
        super().__init__()
        inner, changes = min(inputs, outputs), inputs != outputs
        self.norm1, self.norm2 = norm(inputs), norm(inner)
        self.conv1 = nn.Conv2d(inputs, inner, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(inner, outputs, 3, padding=1, bias=False)
        self.norm_shortcut = norm(inputs) if changes else None
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False) if changes else None

    def convolutions(self) -> list[nn.Conv2d]:
        """Lists the convolutions outside the norms."""
        return [self.conv1, self.conv2, *([] if self.shortcut is None else [self.shortcut])]

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Maps [B, C, H, W] and conditions [B, S, H, W] to [B, C', H, W]."""
        h = self.conv1(leaky_relu(self.norm1(x, condition), 0.2))
        h = self.conv2(leaky_relu(self.norm2(h, condition), 0.2))
        if self.norm_shortcut is not None and self.shortcut is not None:
            x = self.shortcut(self.norm_shortcut(x, condition))
        return x + h
