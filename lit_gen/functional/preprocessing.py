"""What is done to numbers in [0, 1] before a flow sees them, with its Jacobian."""

__all__ = ["Centring", "Logits", "Preprocessing"]

import abc
import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lit_gen.errors import UserError


class Preprocessing(abc.ABC):
    """An invertible map of [0, 1] without parameters; a value that a model is given."""

    @abc.abstractmethod
    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Maps y in [0, 1], [B, …], to x and log |det ∂x/∂y|, shape [B]."""

    @abc.abstractmethod
    def inverse(self, x: Tensor) -> Tensor:
        """Undoes `forward`."""


class Centring(Preprocessing):
    """Creates the map x = 2y − 1."""

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * y - 1, y.new_full((len(y),), y[0].numel() * math.log(2.0))

    def inverse(self, x: Tensor) -> Tensor:
        return (x + 1) / 2


class Logits(Preprocessing):
    r"""Creates the map :math:`x = \mathrm{logit}(\alpha + (1 - 2 \alpha) y)`, whose inverse never leaves the interval.

    The paper's text has (1 − α) y, which is infinite at 1; its code is symmetric, as here.

    References:
        | Density Estimation Using Real NVP (Dinh, Sohl-Dickstein & Bengio, 2017), section 4.1
        | https://arxiv.org/abs/1605.08803

    Arguments:
        alpha: α, in (0, 0.5).
    """

    def __init__(self, alpha: float = 0.05) -> None:
        if not 0 < alpha < 0.5:
            raise UserError(f"Logits' alpha is {alpha}, and must lie between 0 and 0.5")
        self.alpha = alpha

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.logit(self.alpha + (1 - 2 * self.alpha) * y)
        # The logit's slope at p is 1 / (p (1 − p)), and p is the sigmoid of x.
        log_slope = math.log(1 - 2 * self.alpha) - logsigmoid(x) - logsigmoid(-x)
        return x, log_slope.flatten(1).sum(dim=1)

    def inverse(self, x: Tensor) -> Tensor:
        return (x.sigmoid() - self.alpha) / (1 - 2 * self.alpha)
