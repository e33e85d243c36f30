"""What a feature extractor makes of a batch of images; every metric is computed from it."""

__all__ = ["Features"]

from typing import NamedTuple

from torch import Tensor


class Features(NamedTuple):
    """The features of N images.

    Attributes:
        features: A point per image, float32, shape [N, D].
        logits: Unnormalised class log-probabilities, float32, shape [N, K]; None if the extractor does not classify.
        label: The images' classes, int64, shape [N]; None where nobody said.
    """

    features: Tensor
    logits: Tensor | None = None
    label: Tensor | None = None
