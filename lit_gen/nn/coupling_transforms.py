"""What a coupling does to each of the numbers that it moves, given what its network says."""

__all__ = ["AdditiveTransform", "AffineTransform", "CouplingTransform", "SplineTransform"]

import abc
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from lit_gen.errors import UserError
from lit_gen.functional.rational_quadratic import rational_quadratic, rational_quadratic_inverse

_MOST = 1e8


class CouplingTransform(nn.Module, abc.ABC):
    """A monotone function of one number, with parameters that a network gives.

    Attributes:
        numbers: The parameters P per number.
    """

    numbers: int

    @abc.abstractmethod
    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Maps x [B, C, …], by unbounded parameters [B, P·C, …], to z and log dz/dx, both [B, C, …]."""

    @abc.abstractmethod
    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        """Undoes `forward`."""


class AdditiveTransform(CouplingTransform):
    """Creates the transform z = x + t, which changes no volume.

    References:
        | NICE: Non-linear Independent Components Estimation (Dinh, Krueger & Bengio, 2015), section 3.2
        | https://arxiv.org/abs/1410.8516
    """

    numbers = 1

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        return x + raw, torch.zeros_like(x)

    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        return z - raw


class AffineTransform(CouplingTransform):
    r"""Creates the transform z = x exp(s) + t.

    ``tanh``, RealNVP's, has s = a tanh(raw), with a trained per channel; ``sigmoid``, that of Glow's code, has
    exp(s) = sigmoid(raw + 2), below 1 and as small as can be: samples of a young model may leave the range of floats on
    their way back. The inverse keeps to ±1e8, where no data are, so that they are pictures, if bad ones.

    References:
        | Density Estimation Using Real NVP (Dinh, Sohl-Dickstein & Bengio, 2017), sections 3.2 and 4.1
        | https://arxiv.org/abs/1605.08803

        | Glow: Generative Flow with Invertible 1×1 Convolutions (Kingma & Dhariwal, 2018)
        | https://arxiv.org/abs/1807.03039

    Arguments:
        channels: The channels C that are moved.
        scale: What s is made by.
    """

    numbers = 2

    def __init__(self, channels: int, scale: Literal["tanh", "sigmoid"] = "tanh") -> None:
        super().__init__()
        if scale not in ("tanh", "sigmoid"):
            raise UserError(f"scale is '{scale}'; it can be 'tanh' or 'sigmoid'")
        self.rescale = nn.Parameter(torch.ones(channels)) if scale == "tanh" else None

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._parts(raw)
        return x * log_scale.exp() + shift, log_scale

    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        log_scale, shift = self._parts(raw)
        return ((z - shift) * (-log_scale).exp()).clamp(-_MOST, _MOST)  # NaN stays NaN

    def _parts(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = raw.chunk(2, dim=1)
        if self.rescale is None:
            return logsigmoid(scale + 2.0), shift
        return self.rescale.view(-1, *[1] * (raw.ndim - 2)) * scale.tanh(), shift


class SplineTransform(CouplingTransform):
    """Creates the transform by a rational-quadratic spline; see `lit_gen.functional.rational_quadratic`.

    Arguments:
        bins: The pieces K.
        bound: Half the length of the interval around 0 that is bent; outside of it z = x.
    """

    def __init__(self, bins: int = 8, bound: float = 3.0) -> None:
        super().__init__()
        if not 2 <= bins <= 500 or not bound > 0:
            raise UserError(f"a spline's bins are {bins} and its bound {bound}; give 2 to 500 bins and a bound above 0")
        self.bins, self.bound, self.numbers = bins, bound, 3 * bins - 1

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        return rational_quadratic(x, self._parts(raw), self.bound)

    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        return rational_quadratic_inverse(z, self._parts(raw), self.bound)

    def _parts(self, raw: Tensor) -> Tensor:
        return raw.unflatten(1, (self.numbers, -1)).movedim(1, -1)
