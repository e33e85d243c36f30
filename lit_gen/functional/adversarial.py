r"""Adversarial losses on logits.

With the discriminator's logit l(x) and D(x) = sigmoid(l(x)), −log D = softplus(−l) and −log(1 − D) = softplus(l): both
stay finite, with a useful gradient, where sigmoid saturates. Every loss takes logits [B] and is a mean over the batch.

References:
    | Generative Adversarial Networks (Goodfellow et al., 2014)
    | https://arxiv.org/abs/1406.2661
"""

__all__ = ["AdversarialLoss", "MinimaxLoss", "NonSaturatingLoss", "discriminator_cross_entropy"]

import abc

from torch import Tensor
from torch.nn.functional import softplus

from lit_gen.errors import UserError


def discriminator_cross_entropy(real: Tensor, fake: Tensor, real_label: float = 1.0) -> Tensor:
    """Returns −E[y log D(x) + (1 − y) log(1 − D(x))] − E[log(1 − D(G(z)))], the discriminator's side of equation (1).

    Arguments:
        real: Logits of real images, shape [B].
        fake: Logits of generated images, shape [B].
        real_label: The target y of real images; below 1, one-sided label smoothing.
    """
    return (softplus(-real) + (1.0 - real_label) * real).mean() + softplus(fake).mean()


class AdversarialLoss(abc.ABC):
    """What two players play for; a value that a model is given."""

    @abc.abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Returns the discriminator's loss from logits [B] of real and of generated images."""

    @abc.abstractmethod
    def generator(self, fake: Tensor) -> Tensor:
        """Returns the generator's loss from logits [B] of generated images."""


class NonSaturatingLoss(AdversarialLoss):
    r"""Creates the non-saturating loss: the generator maximises E[log D(G(z))].

    Its gradient does not vanish where the discriminator is sure of itself (section 3, last paragraph but one).

    References:
        | Generative Adversarial Networks (Goodfellow et al., 2014)
        | https://arxiv.org/abs/1406.2661

        | Improved Techniques for Training GANs (Salimans et al., 2016), one-sided label smoothing
        | https://arxiv.org/abs/1606.03498

    Arguments:
        real_label: The discriminator's target for real images, in (0, 1].
    """

    def __init__(self, real_label: float = 1.0) -> None:
        self.real_label = _checked(real_label)

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return discriminator_cross_entropy(real, fake, self.real_label)

    def generator(self, fake: Tensor) -> Tensor:
        return softplus(-fake).mean()


class MinimaxLoss(AdversarialLoss):
    r"""Creates the minimax (saturating) loss: the generator minimises E[log(1 − D(G(z)))], equation (1).

    References:
        | Generative Adversarial Networks (Goodfellow et al., 2014)
        | https://arxiv.org/abs/1406.2661

    Arguments:
        real_label: The discriminator's target for real images, in (0, 1].
    """

    def __init__(self, real_label: float = 1.0) -> None:
        self.real_label = _checked(real_label)

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return discriminator_cross_entropy(real, fake, self.real_label)

    def generator(self, fake: Tensor) -> Tensor:
        return -softplus(fake).mean()


def _checked(real_label: float) -> float:
    if not 0.0 < real_label <= 1.0:
        raise UserError(f"real_label is {real_label}, and must be in (0, 1]")
    return real_label
