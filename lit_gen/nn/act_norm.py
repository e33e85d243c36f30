"""A gain and a bias per channel, which the first batch of training sets."""

__all__ = ["ActNorm"]

from typing import Any

import torch
from torch import Tensor, nn

from lit_gen.functional.across_processes import sum_across_processes
from lit_gen.nn.bijection import Bijection

_LEAST_STD = 1e-6


class ActNorm(Bijection):
    r"""Creates the layer :math:`z = (x + b) \exp(s)`, with a bias b and a log-gain s per channel.

    The first batch of training (its first part, where it is split), over all processes, sets them such that every
    channel has mean 0 and variance 1; from then on they are trained as all parameters are. A checkpoint says whether
    that has been. Until then, and so in a model that was never trained, the layer is the identity.

    References:
        | Glow: Generative Flow with Invertible 1×1 Convolutions (Kingma & Dhariwal, 2018), section 3.1
        | https://arxiv.org/abs/1807.03039

    Arguments:
        channels: The channels C, or the numbers of a vector.
    """

    initialised: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.log_gain = nn.Parameter(torch.zeros(channels))
        self.register_buffer("initialised", torch.tensor(False))
        # Beside the buffer, which lies on the device: to look at it there would wait for the device in every step.
        self._done = False

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps [B, C, …] to z of that shape and log-determinants [B]."""
        # Without gradients there is no training, whatever the mode: samples must not set the statistics.
        if self.training and not self._done and torch.is_grad_enabled():
            self._initialise(x)
        bias, log_gain = self._shaped(x)
        positions = x[0, 0].numel()
        return (x + bias) * log_gain.exp(), (positions * self.log_gain.sum()).expand(len(x))

    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        bias, log_gain = self._shaped(z)
        return z * (-log_gain).exp() - bias

    @torch.no_grad()
    def _initialise(self, x: Tensor) -> None:
        rows = x.transpose(0, 1).flatten(1).double()
        num = sum_across_processes(rows.new_tensor(rows.shape[1]))
        mean = sum_across_processes(rows.sum(dim=1)) / num
        # Around the mean of all processes, hence a second sum: squares of what lies far from 0 lose their digits.
        variance = sum_across_processes((rows - mean[:, None]).square().sum(dim=1)) / num
        self.bias.copy_(-mean)
        self.log_gain.copy_(-variance.sqrt().clamp(min=_LEAST_STD).log())
        self.initialised.fill_(True)
        self._done = True

    def _shaped(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shape = (-1, *[1] * (x.ndim - 2))
        return self.bias.view(shape), self.log_gain.view(shape)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._done = bool(self.initialised)
