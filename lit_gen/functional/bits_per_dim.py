"""Bits per dimension: how many bits a model needs for a number of an image."""

__all__ = ["bits_per_dim"]

import math
from collections.abc import Sequence

from torch import Tensor


def bits_per_dim(log_prob: Tensor, shape: Sequence[int]) -> Tensor:
    r"""Returns the bits per dimension of log-probabilities in nats, of any shape.

    .. math:: -\frac{\log p(x)}{D \ln 2}

    A model that knows nothing, uniform over 8-bit values, needs 8.

    Arguments:
        log_prob: The log-probability of each image in nats.
        shape: The shape of an image, whose D numbers are counted.
    """
    return log_prob / (-math.prod(shape) * math.log(2.0))
