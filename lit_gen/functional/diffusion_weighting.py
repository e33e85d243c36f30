r"""What an error at each level of noise counts for in training.

Weights here are of the mean squared error of the network's own output F. The papers' are of the image's error, which is
:math:`k = \sigma^2/\Delta^2` times as large (see `lit_gen.functional.parameterisation`): a weight w of that is a weight
w k of this, whatever the network predicts.
"""

__all__ = ["DiffusionWeighting", "EDMWeighting", "MinSNRWeighting", "SimpleWeighting", "SoftMinSNRWeighting"]

import abc

import torch
from torch import Tensor

from lit_gen.errors import UserError


class DiffusionWeighting(abc.ABC):
    """What errors count for; a value that a model is given."""

    @abc.abstractmethod
    def weight(self, snr: Tensor, data_error: Tensor) -> Tensor:
        """Returns the weights of squared errors of the output, [B].

        Arguments:
            snr: The signal-to-noise ratios α²/σ², [B].
            data_error: How large a squared error of the image each squared error of the output is, k, [B].
        """


class SimpleWeighting(DiffusionWeighting):
    """Creates equal weights: what the network's output is, is what counts. For ε this is DDPM's L_simple.

    References:
        | Denoising Diffusion Probabilistic Models (Ho, Jain & Abbeel, 2020), equation (14)
        | https://arxiv.org/abs/2006.11239
    """

    def weight(self, snr: Tensor, data_error: Tensor) -> Tensor:
        return torch.ones_like(snr)


class MinSNRWeighting(DiffusionWeighting):
    r"""Creates min-SNR-γ weights: min(SNR, γ) of the image's error, so min(SNR, γ)/SNR of ε's.

    References:
        | Efficient Diffusion Training via Min-SNR Weighting Strategy (Hang et al., 2023), section 3.4
        | https://arxiv.org/abs/2303.09556

    Arguments:
        gamma: γ, above 0.
    """

    def __init__(self, gamma: float = 5.0) -> None:
        self.gamma = _above_0("MinSNRWeighting's gamma", gamma)

    def weight(self, snr: Tensor, data_error: Tensor) -> Tensor:
        return snr.clamp(max=self.gamma) * data_error


class SoftMinSNRWeighting(DiffusionWeighting):
    r"""Creates the same without a corner: :math:`1/(1/\mathrm{SNR} + 1/\gamma)` of the image's error.

    References:
        | Scalable High-Resolution Pixel-Space Image Synthesis with Hourglass Diffusion Transformers
        | (Crowson et al., 2024)
        | https://arxiv.org/abs/2401.11605

    Arguments:
        gamma: γ, above 0.
    """

    def __init__(self, gamma: float = 4.0) -> None:
        self.gamma = _above_0("SoftMinSNRWeighting's gamma", gamma)

    def weight(self, snr: Tensor, data_error: Tensor) -> Tensor:
        return data_error * snr * self.gamma / (snr + self.gamma)


class EDMWeighting(DiffusionWeighting):
    r"""Creates EDM's weights, :math:`\mathrm{SNR} + 1/\sigma_d^2` of the image's error: 1 of its own output's.

    References:
        | Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022), table 1
        | https://arxiv.org/abs/2206.00364

    Arguments:
        data_std: The data's standard deviation σ_d, in the data's unit, above 0.
    """

    def __init__(self, data_std: float = 0.5) -> None:
        self.data_std = _above_0("EDMWeighting's data_std", data_std)

    def weight(self, snr: Tensor, data_error: Tensor) -> Tensor:
        return (snr + self.data_std**-2) * data_error


def _above_0(name: str, value: float) -> float:
    if not value > 0:
        raise UserError(f"{name} is {value}, and must be above 0")
    return value
