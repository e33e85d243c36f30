"""Scores of pixels against pixels: PSNR, SSIM and the mean absolute error, of values in [0, 1]."""

__all__ = ["MeanAbsoluteError", "PeakSignalNoiseRatio", "StructuralSimilarity"]

from typing import Any, ClassVar

import torch
from torch import Tensor

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.metrics.paired_metric import PairedMetric


def _unit(image: Tensor) -> Tensor:
    """Maps uint8 values to float64 in [0, 1]; float32 loses digits in SSIM's differences of squares."""
    return image.double() / 255.0


class MeanAbsoluteError(PairedMetric):
    """Creates the mean of |output − target| over pixels and channels, of values in [0, 1]."""

    name: ClassVar[str] = "l1"
    higher_is_better: ClassVar[bool] = False

    def prepare(self, shape: Shape, device: torch.device) -> None:
        """Does nothing: any images will do."""

    def settings(self) -> dict[str, Any]:
        """Returns the range of the values."""
        return {"range": "[0, 1]"}

    def compare(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the error of each image in [0, 1], shape [N]."""
        return (_unit(output) - _unit(target)).abs().mean(dim=(1, 2, 3))


class PeakSignalNoiseRatio(PairedMetric):
    r"""Creates the peak signal-to-noise ratio of each image in decibels, for values in [0, 1].

    .. math:: 10 \log_{10} \frac{1}{\mathrm{MSE}}

    The error is averaged over the pixels of an image, the decibels over images. An image that comes back to the last
    bit would make the mean infinite; it counts as `limit`.

    Arguments:
        limit: The most that an image can score.
    """

    name: ClassVar[str] = "psnr"
    higher_is_better: ClassVar[bool] = True

    def __init__(self, limit: float = 100.0) -> None:
        self.limit = limit

    def prepare(self, shape: Shape, device: torch.device) -> None:
        """Does nothing: any images will do."""

    def settings(self) -> dict[str, Any]:
        """Returns the range of the values and the limit."""
        return {"range": "[0, 1]", "limit_db": self.limit}

    def compare(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the ratio of each image in decibels, shape [N]."""
        from torchmetrics.functional.image import peak_signal_noise_ratio  # takes seconds, and memory

        ratio: Tensor = peak_signal_noise_ratio(
            _unit(output), _unit(target), data_range=1.0, reduction="none", dim=(1, 2, 3)
        )
        return ratio.clamp(max=self.limit)


class StructuralSimilarity(PairedMetric):
    """Creates the structural similarity of each image, in [−1, 1], averaged over its pixels and channels.

    The window is the paper's: Gaussian, 11 pixels wide, of standard deviation 1.5, with K₁ = 0.01 and K₂ = 0.03. At the
    borders, images are mirrored, as in torchmetrics.

    References:
        | Image Quality Assessment: From Error Visibility to Structural Similarity (Wang et al., 2004)
        | https://doi.org/10.1109/TIP.2003.819861
    """

    name: ClassVar[str] = "ssim"
    higher_is_better: ClassVar[bool] = True
    window: ClassVar[int] = 11

    def prepare(self, shape: Shape, device: torch.device) -> None:
        """Checks the size.

        Raises:
            UserError: If the images are smaller than the window, most of which would be mirrored pixels.
        """
        _, height, width = shape
        if min(height, width) < self.window:
            raise UserError(
                f"ssim looks through windows of {self.window}×{self.window} pixels, but the images are of "
                f"{height}×{width}: leave out 'ssim'"
            )

    def settings(self) -> dict[str, Any]:
        """Returns the window and the constants."""
        return {"range": "[0, 1]", "window": self.window, "sigma": 1.5, "k1": 0.01, "k2": 0.03, "border": "mirrored"}

    def compare(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the similarity of each image, shape [N]."""
        from torchmetrics.functional.image import structural_similarity_index_measure

        similarity = structural_similarity_index_measure(_unit(output), _unit(target), data_range=1.0, reduction="none")
        assert isinstance(similarity, Tensor), "no full images are asked for"
        return similarity
