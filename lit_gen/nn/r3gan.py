"""The R3GAN generator and discriminator: residual networks without normalisation, each the other's mirror image."""

__all__ = ["R3GANDiscriminator", "R3GANGenerator", "ResidualBlock"]

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.resampling import downsample, upsample
from lit_gen.nn.sizes import doubled_widths, halvings

_SLOPE = 0.2


class ResidualBlock(nn.Module):
    r"""Creates an inverted bottleneck without normalisation: x + W₃ a(W₂ * a(W₁ x + b₁) + b₂).

    W₁ and W₃ are 1×1, W₂ is a grouped 3×3 convolution on more channels, a is LeakyReLU. By Fixup, W₃ starts at zero and
    the other two with their usual variance times L^(−1/2), L the number of the network's blocks, so that an update
    changes the network's output by as much whatever its depth.

    References:
        | Fixup Initialization: Residual Learning Without Normalization (Zhang, Dauphin & Ma, 2019), section 3
        | https://arxiv.org/abs/1901.09321

    Arguments:
        width: The block's channels.
        expansion: The inner channels per outer one.
        group_size: The channels per group of the 3×3 convolution; fewer where they do not divide the inner channels.
        num_blocks: The number L of blocks of the whole network.
    """

    def __init__(self, width: int, expansion: int, group_size: int, num_blocks: int) -> None:
        super().__init__()
        inner = expansion * width
        groups = inner // math.gcd(inner, group_size)
        self.expand = nn.Conv2d(width, inner, 1)
        self.spatial = nn.Conv2d(inner, inner, 3, padding=1, groups=groups)
        self.reduce = nn.Conv2d(inner, width, 1, bias=False)
        for layer in (self.expand, self.spatial):
            # With m layers in a block the standard deviation is scaled by L^(−1/(2m − 2)); here m = 3.
            _initialise(layer, math.sqrt(2 / (1 + _SLOPE**2)) * num_blocks**-0.25)
        nn.init.zeros_(self.reduce.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, width, H, W] to the same shape."""
        h = leaky_relu(self.expand(x), _SLOPE)
        return x + self.reduce(leaky_relu(self.spatial(h), _SLOPE))


class R3GANGenerator(nn.Module):
    r"""Creates the generator of R3GAN, configuration E.

    Learned maps of about 4×4, one a channel, are weighted by a linear function of the latent. Then come stages of
    residual blocks with bilinear doubling in between, and a 1×1 convolution to the image, without any squashing: images
    may leave [−1, 1] a little. With classes, a learned embedding of the label is appended to the latent.

    The paper has 768 channels at up to 32 pixels, and 384, 192 and 96 at 64, 128 and 256.

    References:
        | The GAN is dead; long live the GAN! A Modern Baseline GAN (Huang et al., 2024), section 4
        | https://arxiv.org/abs/2501.05441

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        latent_dim: The size of the latent.
        num_classes: The number of classes of a conditional generator, None for an unconditional one.
        features: The channels of the finest stage; each coarser one has twice as many.
        max_features: The most channels that any stage gets.
        blocks: The residual blocks per stage.
        expansion: The inner channels of a block per outer one.
        group_size: The channels per group of a block's 3×3 convolution.
    """

    def __init__(
        self,
        image_shape: Shape,
        latent_dim: int,
        num_classes: int | None = None,
        features: int = 64,
        max_features: int = 256,
        blocks: int = 2,
        expansion: int = 2,
        group_size: int = 16,
    ) -> None:
        super().__init__()
        _check(features, max_features, blocks, expansion, group_size)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.sizes = halvings(image_shape)[::-1]
        widths = doubled_widths(features, max_features, len(self.sizes))[::-1]
        self.embedding = None if num_classes is None else nn.Embedding(num_classes, latent_dim)
        self.weigh = _initialise(nn.Linear(latent_dim * (1 if num_classes is None else 2), widths[0], bias=False), 1.0)
        self.basis = nn.Parameter(torch.randn(widths[0], *self.sizes[0]))
        self.stages = _stages(widths, blocks, expansion, group_size)
        self.change = _changes(widths)
        self.to_image = _initialise(nn.Conv2d(widths[-1], image_shape[0], 1, bias=False), 1.0)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents to images.

        Arguments:
            z: Latents, shape [B, latent_dim].
            label: Class labels, shape [B]; needed exactly when the generator is conditional.

        Returns:
            Images for [−1, 1], shape [B, C, H, W].
        """
        assert z.ndim == 2 and z.shape[1] == self.latent_dim
        assert (label is not None) == (self.num_classes is not None)
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(label)], dim=1)
        x = self.weigh(z)[:, :, None, None] * self.basis
        x = self.stages[0](x)
        for change, stage, size in zip(self.change, self.stages[1:], self.sizes[1:], strict=True):
            # A 1×1 convolution and a filter commute: the convolution goes where there are fewer pixels.
            x = stage(upsample(change(x), size))
        return self.to_image(x)


class R3GANDiscriminator(nn.Module):
    r"""Creates the discriminator of R3GAN, configuration E: `R3GANGenerator` backwards.

    At its end a depthwise convolution weighs each channel's last map into one number, and a linear layer makes the
    logit of these. With classes, the logit is the product of their linear map and a learned embedding of the label.

    References:
        | The GAN is dead; long live the GAN! A Modern Baseline GAN (Huang et al., 2024), section 4
        | https://arxiv.org/abs/2501.05441

        | cGANs with Projection Discriminator (Miyato & Koyama, 2018)
        | https://arxiv.org/abs/1802.05637

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        num_classes: The number of classes of a conditional discriminator, None for an unconditional one.
        num_outputs: The numbers returned per image, the logit first.
        features: The channels of the finest stage; each coarser one has twice as many.
        max_features: The most channels that any stage gets.
        blocks: The residual blocks per stage.
        expansion: The inner channels of a block per outer one.
        group_size: The channels per group of a block's 3×3 convolution.
        embedding_dim: The size of a label's embedding.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        num_outputs: int = 1,
        features: int = 64,
        max_features: int = 256,
        blocks: int = 2,
        expansion: int = 2,
        group_size: int = 16,
        embedding_dim: int = 64,
    ) -> None:
        super().__init__()
        _check(features, max_features, blocks, expansion, group_size)
        if num_classes is not None and embedding_dim < 1:
            raise UserError(f"embedding_dim is {embedding_dim}, and must be at least 1")
        self.image_shape, self.num_classes, self.num_outputs = tuple(image_shape), num_classes, num_outputs
        sizes = halvings(image_shape)
        widths = doubled_widths(features, max_features, len(sizes))
        self.from_image = _initialise(nn.Conv2d(image_shape[0], widths[0], 1, bias=False), 1.0)
        self.stages = _stages(widths, blocks, expansion, group_size)
        self.change = _changes(widths)
        self.basis = _initialise(nn.Conv2d(widths[-1], widths[-1], sizes[-1], groups=widths[-1], bias=False), 1.0)
        self.embedding = None if num_classes is None else nn.Embedding(num_classes, embedding_dim)
        verdict = 1 if num_classes is None else embedding_dim
        self.judge = _initialise(nn.Linear(widths[-1], verdict + num_outputs - 1, bias=False), 1.0)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images to logits, positive where they look real.

        Arguments:
            x: Images in [−1, 1], shape [B, C, H, W].
            label: Class labels, shape [B]; needed exactly when the discriminator is conditional.

        Returns:
            Logits, shape [B]; with more than one output, [B, num_outputs].
        """
        assert x.shape[1:] == self.image_shape
        assert (label is not None) == (self.num_classes is not None)
        h = self.stages[0](self.from_image(x))
        for change, stage in zip(self.change, self.stages[1:], strict=True):
            h = stage(change(downsample(h)))
        h = self.judge(self.basis(h).flatten(1))
        others = self.num_outputs - 1
        verdict, rest = h[:, : h.shape[1] - others], h[:, h.shape[1] - others :]
        if self.embedding is not None:
            e = self.embedding(label)
            verdict = (verdict * e).sum(1, keepdim=True) / math.sqrt(e.shape[1])
        return torch.cat([verdict, rest], dim=1) if others else verdict[:, 0]


def _initialise(layer: nn.Module, gain: float) -> nn.Module:
    """Draws a layer's weights from N(0, gain²/fan_in) and sets its biases to zero."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _stages(widths: Sequence[int], blocks: int, expansion: int, group_size: int) -> nn.ModuleList:
    total = blocks * len(widths)
    return nn.ModuleList(
        nn.Sequential(*(ResidualBlock(width, expansion, group_size, total) for _ in range(blocks))) for width in widths
    )


def _changes(widths: Sequence[int]) -> nn.ModuleList:
    """Returns the 1×1 convolutions between stages; none where the number of channels stays the same."""
    return nn.ModuleList(
        nn.Identity() if a == b else _initialise(nn.Conv2d(a, b, 1, bias=False), 1.0)
        for a, b in itertools.pairwise(widths)
    )


def _check(*settings: int) -> None:
    for name, value in zip(("features", "max_features", "blocks", "expansion", "group_size"), settings, strict=True):
        if value < 1:
            raise UserError(f"{name} is {value}, and must be at least 1")
