"""What networks promise that others look into."""

__all__ = [
    "SupportsDiscriminator",
    "SupportsEncoderMaps",
    "SupportsFeatureMaps",
]

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class SupportsEncoderMaps(Protocol):
    """A translation network whose encoder can be asked for its maps."""

    encoded_channels: Sequence[int]
    """The channels C_l of each map."""

    def encode(self, source: Tensor) -> list[Tensor]:
        """Maps sources [B, Cs, H, W] to maps [B, C_l, H_l, W_l]."""


@runtime_checkable
class SupportsFeatureMaps(Protocol):
    """A discriminator that shows what it makes of images, layer by layer, at one scale or more."""

    def scales(self, image: Tensor) -> list[list[Tensor]]:
        """Maps images [B, C, H, W] to each scale's maps [B, C_l, H_l, W_l], its logits [B, 1, h, w] last."""


@runtime_checkable
class SupportsDiscriminator(Protocol):
    """A model with a network that tells real images from generated ones: images, labels or None → logits [B]."""

    discriminator: Any
