"""How scores of single images came about: what must be alike for two of them to be compared."""

__all__ = ["ImageProtocol"]

import dataclasses
from collections.abc import Mapping
from typing import Any

from lit_gen.metrics.cache import content_hash


@dataclasses.dataclass(frozen=True)
class ImageProtocol:
    """The circumstances of an evaluation that scores the images of a split one by one.

    Attributes:
        data: The name of the images' source.
        data_fingerprint: The hash of the split's content.
        split: The split whose images are scored.
        num_images: The number of images, evenly spaced in the split; each counts once.
        image_shape: Channels, height and width of the images that are scored.
        task: What is scored: ``"translation"``, ``"reconstruction"``, ``"likelihood"`` or ``"recognition"``.
        compared: What that means for this model and these data.
        quantisation: How the model's images become uint8; what a likelihood is of.
        settings: The settings of the metrics by name.
        weights: ``"ema"``, ``"ema:5000"`` or ``"raw"``: which of the model's weights were used.
        seed: The seed of what the model draws.
        version: The version of lit_gen.
    """

    data: str
    data_fingerprint: str
    split: str
    num_images: int
    image_shape: tuple[int, int, int]
    task: str
    compared: str
    quantisation: str
    settings: Mapping[str, Mapping[str, Any]]
    weights: str
    seed: int
    version: str

    @property
    def hash(self) -> str:
        """The SHA-256 of all fields: equal for equal circumstances."""
        return content_hash(dataclasses.asdict(self))

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields and the ``hash`` as plain values that JSON keeps as they are."""
        return {**dataclasses.asdict(self), "image_shape": list(self.image_shape), "hash": self.hash}

    def differences(self, other: "ImageProtocol") -> dict[str, tuple[Any, Any]]:
        """Returns the fields in which two protocols differ: name → (this one's value, the other's)."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}
