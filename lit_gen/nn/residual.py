"""Pre-activation residual blocks that double or halve a map."""

__all__ = ["DownBlock", "NormFactory", "UpBlock", "downsample", "normalised", "upsample"]

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

NormFactory: TypeAlias = Callable[[int], nn.Module]  # makes a normalisation of as many channels


def upsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Repeats every pixel twice each way; an odd size loses the last row or column of that."""
    return interpolate(x, scale_factor=2.0, mode="nearest")[:, :, : size[0], : size[1]]


def downsample(x: Tensor) -> Tensor:
    """Averages 2×2 pixels; at an odd size's edge, those that there are."""
    return avg_pool2d(x, 2, ceil_mode=True)


def normalised(norm: nn.Module, x: Tensor, y: Tensor | None) -> Tensor:
    """Normalises maps, by what they are conditioned on if there is anything."""
    return norm(x) if y is None else norm(x, y)


class UpBlock(nn.Module):
    r"""Creates a generator's block: norm, ReLU, doubling, 3×3, norm, ReLU, 3×3; beside it doubling and 1×1.

    References:
        | Improved Training of Wasserstein GANs (Gulrajani et al., 2017), appendix
        | https://arxiv.org/abs/1704.00028

        | Spectral Normalization for Generative Adversarial Networks (Miyato et al., 2018), appendix B.1
        | https://arxiv.org/abs/1802.05957

    Arguments:
        inputs: The channels C that come in.
        outputs: The channels C' that go out.
        size: The height H' and width W' of what goes out; the upper half of each comes in.
        norm: Makes the normalisation of a number of channels; given a condition if the block is.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], norm: NormFactory = nn.BatchNorm2d) -> None:
        super().__init__()
        self.size = size
        self.norm1, self.norm2 = norm(inputs), norm(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Maps [B, C, H, W], and what the norms are conditioned on, to [B, C', H', W']."""
        h = self.conv1(upsample(relu(normalised(self.norm1, x, y)), self.size))
        h = self.conv2(relu(normalised(self.norm2, h, y)))
        # A 1×1 convolution and the repetition of pixels commute; this order costs a quarter.
        return h + upsample(self.shortcut(x), self.size)


class DownBlock(nn.Module):
    r"""Creates a discriminator's block: norm, ReLU, 3×3, norm, ReLU, 3×3, halving; beside it 1×1 and halving.

    The first block of a network leaves out the first norm and ReLU, which would cut images at zero.

    References:
        | Improved Training of Wasserstein GANs (Gulrajani et al., 2017), appendix
        | https://arxiv.org/abs/1704.00028

        | Spectral Normalization for Generative Adversarial Networks (Miyato et al., 2018), appendix B.1
        | https://arxiv.org/abs/1802.05957

    Arguments:
        inputs: The channels C that come in.
        outputs: The channels C' that go out.
        hidden: The channels between the two convolutions.
        halve: Whether the map is halved.
        first: Whether the block is its network's first.
        norm: Makes the normalisation of a number of channels.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: int,
        halve: bool = True,
        first: bool = False,
        norm: NormFactory = nn.Identity,
    ) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        self.norm1, self.norm2 = nn.Identity() if first else norm(inputs), norm(hidden)
        self.conv1 = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if halve or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, H, W] to [B, C', ⌈H/2⌉, ⌈W/2⌉], or to [B, C', H, W] without halving."""
        h = self.conv1(x if self.first else relu(self.norm1(x)))
        h = self.conv2(relu(self.norm2(h)))
        if self.halve:
            # Averages and the shortcut's 1×1 convolution commute; this order costs a quarter.
            h, x = downsample(h), downsample(x)
        return h + self.shortcut(x)
