r"""Continuous distributions made distributions over 256 values: each gets the mass of its interval.

With F the distribution function and 8-bit values 0 … 255 at x = v / 127.5 − 1, half an interval being h = 1/255,

.. math:: P(x) = F(x + h) - F(x - h)

the first and the last interval reaching to −∞ and ∞, so that the 256 probabilities add up to 1.
"""

__all__ = ["HALF_INTERVAL", "at_ends", "log_one_minus_exp"]

import math

import torch
from torch import Tensor

HALF_INTERVAL = 1 / 255


def log_one_minus_exp(t: Tensor) -> Tensor:
    r"""Returns :math:`\log(1 - e^{-t})` for t > 0 without losing digits, large or small as t may be.

    References:
        | Accurately Computing log(1 − exp(−|a|)) (Mächler, 2012)
        | https://cran.r-project.org/web/packages/Rmpfr/vignettes/log1mexp-note.pdf
    """
    # Each branch sees only numbers at which its gradient is finite: `where` would pass on NaN times zero.
    small = t < math.log(2)
    near, far = torch.where(small, t, 1.0), torch.where(small, 1.0, t)
    return torch.where(small, torch.log(-torch.expm1(-near)), torch.log1p(-torch.exp(-far)))


def at_ends(x: Tensor, inside: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
    """Takes log-probabilities of the first and the last value from where these values are, else those inside.

    Arguments:
        x: Values v / 127.5 − 1.
        inside: Log-probabilities of intervals with two ends.
        lowest: That of all below x + h.
        highest: That of all above x − h.
    """
    return torch.where(x < -1 + HALF_INTERVAL, lowest, torch.where(x > 1 - HALF_INTERVAL, highest, inside))
