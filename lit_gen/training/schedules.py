"""Learning-rate schedules that papers of this field use, stepped once per training batch; torch has the rest."""

__all__ = ["ConstantThenLinear", "WarmupCosine"]

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lit_gen.errors import UserError


class WarmupCosine(LambdaLR):
    r"""Creates a linear warm-up to the optimizer's learning rate, then half a cosine down to zero, where it stays.

    Over the first w steps the rate is η·(n + 1)/w at step n; from there to step T it is
    η·(1 + cos(π·(n − w)/(T − w)))/2.

    References:
        | SGDR: Stochastic Gradient Descent with Warm Restarts (Loshchilov & Hutter, 2017), equation (5)
        | https://arxiv.org/abs/1608.03983

    Arguments:
        optimizer: The optimizer, at the highest learning rate η.
        warmup_steps: The steps w of the warm-up, 0 for none.
        total_steps: The step T at which the rate is zero, above `warmup_steps`.
    """

    def __init__(self, optimizer: Optimizer, warmup_steps: int, total_steps: int) -> None:
        if not 0 <= warmup_steps < total_steps:
            raise UserError(f"a warm-up of {warmup_steps} steps must not be negative and end before step {total_steps}")

        def factor(step: int) -> float:
            if step < warmup_steps:
                return (step + 1) / warmup_steps
            progress = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
            return 0.5 * (1.0 + math.cos(math.pi * progress))

        super().__init__(optimizer, factor)


class ConstantThenLinear(LambdaLR):
    r"""Creates a constant learning rate that falls linearly to zero after some steps.

    References:
        | Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks
        | (Zhu et al., 2017), appendix 7.1
        | https://arxiv.org/abs/1703.10593

    Arguments:
        optimizer: The optimizer, at its learning rate.
        constant_steps: The steps before the rate begins to fall.
        decay_steps: The steps over which it falls to zero, at least 1.
    """

    def __init__(self, optimizer: Optimizer, constant_steps: int, decay_steps: int) -> None:
        if constant_steps < 0 or decay_steps < 1:
            raise UserError(
                f"{constant_steps} constant steps must not be negative, {decay_steps} falling ones at least 1"
            )
        super().__init__(optimizer, lambda step: min(1.0, max(0.0, 1.0 - (step - constant_steps) / decay_steps)))
