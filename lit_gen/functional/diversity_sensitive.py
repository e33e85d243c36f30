r"""The diversity-sensitive loss: outputs of two styles should differ, less and less insistently.

.. math:: L_{ds} = E\left[\|G(x, s_1) - G(x, s_2)\|_1\right]
"""

__all__ = ["decayed_weight", "diversity"]

from torch import Tensor

from lit_gen.errors import UserError


def diversity(first: Tensor, second: Tensor) -> Tensor:
    """Returns the mean absolute difference of images of two styles, which a generator is to raise.

    References:
        | Diversity-Sensitive Conditional Generative Adversarial Networks (Yang et al., 2019)
        | https://arxiv.org/abs/1901.09024

        | StarGAN v2: Diverse Image Synthesis for Multiple Domains (Choi et al., 2020), equation (3)
        | https://arxiv.org/abs/1912.01865

    Arguments:
        first: Images of one style, shape [B, C, H, W].
        second: The same of another; no gradient goes through them.
    """
    return (first - second.detach()).abs().mean()


def decayed_weight(weight: float, step: int, steps: int) -> float:
    """Returns a weight that falls linearly, from its whole at step 0 to 0 from `steps` on.

    Arguments:
        weight: The weight at the start.
        step: The batches so far.
        steps: The batches that it takes to fall.
    """
    if steps < 1:
        raise UserError(f"a weight cannot fall to 0 within {steps} steps; it takes at least 1")
    return weight * max(0.0, 1.0 - step / steps)
