"""The StyleGAN2 generator: a mapping network from latents to styles, and a synthesis network from styles to images."""

__all__ = ["StyleGAN2Generator", "SynthesisNetwork"]

import itertools

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.functional.across_processes import mean_across_processes
from lit_gen.nn.mapping import MappingNetwork
from lit_gen.nn.modulated import StyledLayer, ToImage
from lit_gen.nn.resampling import upsample
from lit_gen.nn.sizes import doubled_widths, halvings


class SynthesisNetwork(nn.Module):
    r"""Creates the synthesis network of StyleGAN2 with output skips (figure 7b), from a learned map of about 4×4.

    Each size has two styled layers (the coarsest one) and a layer to the image; these images are doubled and added up.
    Odd sizes are the upper half of the next, doubled without the last row or column.

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        style_dim: The size of styles.
        features: The channels at the image's size; each coarser one has twice as many.
        max_features: The most channels that any map gets.
    """

    def __init__(self, image_shape: Shape, style_dim: int, features: int, max_features: int) -> None:
        super().__init__()
        self.sizes = halvings(image_shape)[::-1]
        widths = doubled_widths(features, max_features, len(self.sizes))[::-1]
        self.start = nn.Parameter(torch.randn(widths[0], *self.sizes[0]))
        self.first = StyledLayer(widths[0], widths[0], style_dim, self.sizes[0])
        self.up, self.same = nn.ModuleList(), nn.ModuleList()
        for (a, b), size in zip(itertools.pairwise(widths), self.sizes[1:], strict=True):
            self.up.append(StyledLayer(a, b, style_dim, size, up=True))
            self.same.append(StyledLayer(b, b, style_dim, size))
        self.to_image = nn.ModuleList(ToImage(width, image_shape[0], style_dim) for width in widths)
        # A layer to the image shares its style with the next size's first layer; the last one has its own.
        self.num_styles = 2 * len(self.sizes)

    def forward(self, ws: Tensor) -> Tensor:
        """Maps styles, one per layer, [B, num_styles, style_dim], to images [B, C, H, W]."""
        assert ws.ndim == 3 and ws.shape[1] == self.num_styles
        x = self.first(self.start.expand(len(ws), -1, -1, -1), ws[:, 0])
        image = self.to_image[0](x, ws[:, 1])
        for i, size in enumerate(self.sizes[1:]):
            x = self.same[i](self.up[i](x, ws[:, 2 * i + 1]), ws[:, 2 * i + 2])
            image = upsample(image, size) + self.to_image[i + 1](x, ws[:, 2 * i + 3])
        return image


class StyleGAN2Generator(nn.Module):
    r"""Creates the generator of StyleGAN2.

    While it trains, some images mix two styles: layers up to a random one get the first, those after it the second.
    The mean style, of all processes' latents, is tracked for `truncated`. Images are not squashed: they may leave
    [−1, 1] a little. With classes, an embedding of the label joins the latent.

    The paper's configuration F has 512 channels at up to 64 pixels, then 256, 128, 64 and 32 at 1024.

    References:
        | Analyzing and Improving the Image Quality of StyleGAN (Karras et al., 2020)
        | https://arxiv.org/abs/1912.04958

        | A Style-Based Generator Architecture for Generative Adversarial Networks (Karras et al., 2019), section 3.1
        | https://arxiv.org/abs/1812.04948

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        latent_dim: The size of the latent.
        num_classes: The number of classes of a conditional generator, None for an unconditional one.
        features: The channels at the image's size; each coarser one has twice as many.
        max_features: The most channels that any map gets.
        style_dim: The size of styles.
        mapping_layers: The layers of the mapping network.
        style_mixing: The share of images that mix two styles while training.
        w_decay: The share of the mean style that each batch leaves as it was.
    """

    w_avg: Tensor

    def __init__(
        self,
        image_shape: Shape,
        latent_dim: int,
        num_classes: int | None = None,
        features: int = 64,
        max_features: int = 512,
        style_dim: int = 512,
        mapping_layers: int = 8,
        style_mixing: float = 0.9,
        w_decay: float = 0.998,
    ) -> None:
        super().__init__()
        if not (0 <= style_mixing <= 1 and 0 <= w_decay <= 1):
            raise UserError(f"style_mixing is {style_mixing} and w_decay {w_decay}; both must be in [0, 1]")
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.style_mixing, self.w_decay = style_mixing, w_decay
        self.mapping = MappingNetwork(latent_dim, num_classes, style_dim, mapping_layers)
        self.synthesis = SynthesisNetwork(image_shape, style_dim, features, max_features)
        self.register_buffer("w_avg", torch.zeros(style_dim))

    @property
    def num_styles(self) -> int:
        """The styles that `synthesis` takes per image."""
        return self.synthesis.num_styles

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents to images.

        Arguments:
            z: Latents, shape [B, latent_dim].
            label: Class labels, shape [B]; needed exactly when the generator is conditional.

        Returns:
            Images for [−1, 1], shape [B, C, H, W].
        """
        assert z.ndim == 2 and z.shape[1] == self.latent_dim
        w = self.mapping(z, label)
        ws = self._repeat(w)
        if self.training:
            self.w_avg.lerp_(mean_across_processes(w.to(self.w_avg.dtype).mean(0)), 1 - self.w_decay)
            if self.style_mixing:
                ws = self._mix(ws, z, label)
        return self.synthesis(ws)

    def truncated(self, z: Tensor, label: Tensor | None, truncation: float) -> Tensor:
        """Maps latents [B, latent_dim] to images from styles at `truncation` of the way from the mean style."""
        return self.synthesis(self._repeat(self.w_avg + truncation * (self.mapping(z, label) - self.w_avg)))

    def styles(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents [B, latent_dim] to styles [B, style_dim]."""
        return self.mapping(z, label)

    def synthesize(self, styles: Tensor) -> Tensor:
        """Maps styles [B, style_dim], the same for every layer, to images [B, C, H, W]."""
        return self.synthesis(self._repeat(styles))

    def _repeat(self, w: Tensor) -> Tensor:
        return w[:, None].expand(-1, self.num_styles, -1)

    def _mix(self, ws: Tensor, z: Tensor, label: Tensor | None) -> Tensor:
        num, device = len(z), z.device
        others = self._repeat(self.mapping(torch.randn_like(z), label))
        crossover = torch.randint(1, self.num_styles, (num, 1), device=device)
        unmixed = torch.rand(num, 1, device=device) >= self.style_mixing
        first = unmixed | (torch.arange(self.num_styles, device=device) < crossover)
        return torch.where(first[:, :, None], ws, others)
