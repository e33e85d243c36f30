r"""The kernel density estimate: what a sample says about the density that it comes from.

.. math:: \hat q(x) = \frac{1}{N} \sum_i N(x; x_i, h^2 I)
"""

__all__ = ["log_kernel_density"]

import math

import torch
from torch import Tensor

_MOST = 1 << 23  # distances held at once


def log_kernel_density(points: Tensor, samples: Tensor, bandwidth: float) -> Tensor:
    """Returns the logarithm of the estimated density at points, in nats, float64 [M].

    Arguments:
        points: Where the density is asked for, shape [M, D].
        samples: The sample, shape [N, D].
        bandwidth: The standard deviation h of the Gaussian kernels.
    """
    assert points.ndim == samples.ndim == 2 and points.shape[1] == samples.shape[1]
    points, samples = points.double(), samples.double()
    constant = points.shape[1] * math.log(bandwidth * math.sqrt(2.0 * math.pi)) + math.log(len(samples))
    exponents = (
        torch.logsumexp(-0.5 * (torch.cdist(part, samples) / bandwidth).square(), dim=1)
        for part in points.split(max(1, _MOST // len(samples)))
    )
    return torch.cat(list(exponents)) - constant
