"""What the evaluator of pairs asks of a metric: a score for every image and the one it should have been."""

__all__ = ["PairedMetric"]

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from lit_gen.contracts import Shape

_VALUES = 2**22
"""The most numbers of an image batch that are compared at once: SSIM and networks take many times their memory."""


class PairedMetric(ABC):
    """Compares images, one by one, with those that they should be. Both are uint8: what can be stored and looked at."""

    name: ClassVar[str]
    """The name by which a metric is asked for, such as ``"psnr"``."""
    higher_is_better: ClassVar[bool]
    """Whether a higher score is a better one."""

    @abstractmethod
    def prepare(self, shape: Shape, device: torch.device) -> None:
        """Makes ready to compare images of a shape (channels, height, width) on a device.

        Raises:
            UserError: If images of this shape cannot be compared.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Returns what the scores depend on beside the images, as plain values, for the protocol."""

    @abstractmethod
    def compare(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the score of each image, shape [N], of images uint8 [N, C, H, W] on one device."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the score of each image, float64, shape [N].

        Arguments:
            output: The images, uint8, shape [N, C, H, W].
            target: What they should be, of the same shape and type.
        """
        assert output.shape == target.shape and output.dtype == target.dtype == torch.uint8, "both are uint8 images"
        at_once = max(1, _VALUES // math.prod(output.shape[1:]))
        parts = zip(output.split(at_once), target.split(at_once), strict=True)
        scores = torch.cat([self.compare(*part).double() for part in parts])
        assert scores.shape == output.shape[:1], "there is one score per image"
        return scores
