r"""Adversarial losses on logits.

With the discriminator's logit l(x) and D(x) = sigmoid(l(x)), −log D = softplus(−l) and −log(1 − D) = softplus(l): both
stay finite, with a useful gradient, where sigmoid saturates. Every loss takes logits [B] and is a mean over the batch;
where the discriminator is a critic without a sigmoid, its scores stand for logits.

References:
    | Generative Adversarial Networks (Goodfellow et al., 2014)
    | https://arxiv.org/abs/1406.2661
"""

__all__ = [
    "AdversarialLoss",
    "HingeLoss",
    "LeastSquaresLoss",
    "MinimaxLoss",
    "NonSaturatingLoss",
    "RelativisticPairingLoss",
    "WassersteinLoss",
    "discriminator_cross_entropy",
]

import abc

from torch import Tensor
from torch.nn.functional import relu, softplus

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
    """What two players play for; a value that a model is given.

    A loss whose generator's side compares with real images says so by `relativistic`, and then gets their logits.
    """

    relativistic: bool = False

    @abc.abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Returns the discriminator's loss from logits [B] of real and of generated images."""

    @abc.abstractmethod
    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Returns the generator's loss from logits [B] of generated images.

        Arguments:
            fake: Logits of generated images, shape [B].
            real: Logits of real images, shape [B]; given exactly to relativistic losses.
        """


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

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
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

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -softplus(fake).mean()


class LeastSquaresLoss(AdversarialLoss):
    r"""Creates the least-squares loss, equation (9): logits are drawn to 1 for real images and 0 for generated ones.

    References:
        | Least Squares Generative Adversarial Networks (Mao et al., 2017)
        | https://arxiv.org/abs/1611.04076

    Arguments:
        real_label: The discriminator's target for real images, in (0, 1].
        scale: What squares are multiplied by: the paper's ½, or the 1 of methods that weigh other terms against it.
    """

    def __init__(self, real_label: float = 1.0, scale: float = 0.5) -> None:
        self.real_label, self.scale = _checked(real_label), scale

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.scale * ((real - self.real_label).square().mean() + fake.square().mean())

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return self.scale * (fake - 1.0).square().mean()


class WassersteinLoss(AdversarialLoss):
    r"""Creates the Wasserstein loss: the critic maximises E[f(x)] − E[f(G(z))], equation (3).

    f must be held Lipschitz, by `WeightClipping` as in the paper, or by `GradientPenalty`.

    References:
        | Wasserstein GAN (Arjovsky, Chintala & Bottou, 2017)
        | https://arxiv.org/abs/1701.07875
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.mean()


class HingeLoss(AdversarialLoss):
    r"""Creates the hinge loss: logits count only within the margins −1 and 1, equations (16) and (17).

    References:
        | Spectral Normalization for Generative Adversarial Networks (Miyato et al., 2018)
        | https://arxiv.org/abs/1802.05957

        | Geometric GAN (Lim & Ye, 2017)
        | https://arxiv.org/abs/1705.02894
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1.0 - real).mean() + relu(1.0 + fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.mean()


class RelativisticPairingLoss(AdversarialLoss):
    r"""Creates the relativistic pairing loss: f(l(G(z)) − l(x)) with f(t) = −log(1 + e^(−t)), one real image per fake.

    The discriminator minimises E[softplus(−(l(x) − l(G(z))))], the generator the same with the two exchanged. There are
    no local minima where modes are dropped, unlike in losses that judge each image alone.

    References:
        | The relativistic discriminator: a key element missing from standard GAN (Jolicoeur-Martineau, 2019)
        | https://arxiv.org/abs/1807.00734

        | The GAN is dead; long live the GAN! A Modern Baseline GAN (Huang et al., 2024), equation (2)
        | https://arxiv.org/abs/2501.05441
    """

    relativistic = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(fake - real).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        assert real is not None, "a relativistic loss compares with real images"
        return softplus(real - fake).mean()


def _checked(real_label: float) -> float:
    if not 0.0 < real_label <= 1.0:
        raise UserError(f"real_label is {real_label}, and must be in (0, 1]")
    return real_label
