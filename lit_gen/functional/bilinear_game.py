r"""The bilinear game f(x, y) = xy, the smallest in which gradient descent does not converge.

x minimises f and y maximises it; the one equilibrium is (0, 0). With w = (x, y) the players' gradients are one field,

.. math:: F(w) = (\partial_x f, -\partial_y f) = (y, -x),

which turns around the equilibrium and never points to it. With z = x + iy the field is F(z) = −iz, and each way of
following it is a linear recurrence, whose factor per step tells where it leads. States are float tensors [2].
"""

__all__ = ["UPDATES", "alternating", "extragradient", "optimistic", "simultaneous", "trajectory"]

from collections.abc import Callable

import torch
from torch import Tensor


def _field(w: Tensor) -> Tensor:
    x, y = w
    return torch.stack([y, -x])


def simultaneous(w: Tensor, before: Tensor, eta: float) -> Tensor:
    """Returns w − ηF(w): both players step at once; the distance to the equilibrium grows by √(1 + η²)."""
    return w - eta * _field(w)


def alternating(w: Tensor, before: Tensor, eta: float) -> Tensor:
    """Returns the state after x has stepped and then y, who sees it; x² + y² − ηxy stays what it is.

    References:
        | Negative Momentum for Improved Game Dynamics (Gidel et al., 2019), section 5
        | https://arxiv.org/abs/1807.04740
    """
    x, y = w
    x = x - eta * y
    return torch.stack([x, y + eta * x])


def extragradient(w: Tensor, before: Tensor, eta: float) -> Tensor:
    """Returns w − ηF(w − ηF(w)): a step by the field at a step ahead; the distance shrinks by √(1 − η² + η⁴).

    References:
        | The extragradient method for finding saddle points and other problems (Korpelevich, 1976)

        | A Variational Inequality Perspective on Generative Adversarial Networks (Gidel et al., 2019)
        | https://arxiv.org/abs/1802.10551
    """
    return w - eta * _field(w - eta * _field(w))


def optimistic(w: Tensor, before: Tensor, eta: float) -> Tensor:
    """Returns w − 2ηF(w) + ηF(w₋₁): the last gradient stands for the next; converges for η < 1/√3.

    References:
        | Training GANs with Optimism (Daskalakis et al., 2018), equation (6)
        | https://arxiv.org/abs/1711.00141
    """
    return w - 2 * eta * _field(w) + eta * _field(before)


Update = Callable[[Tensor, Tensor, float], Tensor]
UPDATES: dict[str, Update] = {
    update.__name__: update for update in (simultaneous, alternating, extragradient, optimistic)
}


def trajectory(update: Update, start: tuple[float, float], eta: float, steps: int) -> Tensor:
    """Plays the game.

    Arguments:
        update: One of `UPDATES`: (the state, the one before it, η) → the next.
        start: The first state, which stands for the one before it, too.
        eta: The step size η.
        steps: The number of steps.

    Returns:
        All states in float64, shape [steps + 1, 2].
    """
    states = [torch.tensor(start, dtype=torch.float64)]
    for _ in range(steps):
        states.append(update(states[-1], states[max(len(states) - 2, 0)], eta))
    return torch.stack(states)
