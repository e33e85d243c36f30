r"""Penalties on the discriminator's gradient with respect to its input, per image and in float32.

With ∇l the gradient of the logit of one image, over all its channels and pixels:

.. math:: \text{towards 1:}\ \lambda E[(\|\nabla l(\hat x)\|_2 - 1)^2] \qquad
          \text{towards 0:}\ \frac{\gamma}{2} E[\|\nabla l(x)\|_2^2]
"""

__all__ = ["DRAGAN", "R1", "R2", "GradientPenalty", "interpolate"]

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.regularizer import Critique, DiscriminatorRegularizer


def interpolate(a: Tensor, b: Tensor) -> Tensor:
    """Returns a point between each pair of images, uniform on the line from one to the other.

    Arguments:
        a: Images, shape [B, C, H, W].
        b: Images, shape [B, C, H, W].
    """
    alpha = torch.rand(len(a), *[1] * (a.ndim - 1), device=a.device, dtype=a.dtype)
    return a + alpha * (b - a)


def _distance_from_unit_norm(gradient: Tensor) -> Tensor:
    # ‖∇‖ has no derivative at 0; there the gradient of this is 0 rather than NaN.
    return (torch.linalg.vector_norm(gradient, dim=1) - 1.0).square().mean()


class GradientPenalty(DiscriminatorRegularizer):
    r"""Creates the gradient penalty of WGAN-GP: λ E[(‖∇f(x̂)‖₂ − 1)²], x̂ between a real image and a generated one.

    References:
        | Improved Training of Wasserstein GANs (Gulrajani et al., 2017), equation (3)
        | https://arxiv.org/abs/1704.00028

    Arguments:
        weight: The strength λ.
        every: The penalty is computed in every n-th batch, n times as strong.
    """

    def __init__(self, weight: float = 10.0, every: int = 1) -> None:
        super().__init__(every)
        self.weight = _positive("GradientPenalty", weight)

    def forward(self, critique: Critique) -> Tensor:
        x = interpolate(critique.real, critique.fake)
        return self.weight * _distance_from_unit_norm(critique.gradient(x, critique.label))


class DRAGAN(DiscriminatorRegularizer):
    r"""Creates the gradient penalty of DRAGAN: λ E[(‖∇l(x + δ)‖₂ − 1)²] around the real images.

    As in the authors' code, x + δ lies between an image and the image with noise of half the batch's standard deviation
    added.

    References:
        | On Convergence and Stability of GANs (Kodali et al., 2017), section 2.3
        | https://arxiv.org/abs/1705.07215

    Arguments:
        weight: The strength λ.
        spread: The noise's size, in standard deviations of the batch.
        every: The penalty is computed in every n-th batch, n times as strong.
    """

    def __init__(self, weight: float = 10.0, spread: float = 0.5, every: int = 1) -> None:
        super().__init__(every)
        self.weight, self.spread = _positive("DRAGAN", weight), spread

    def forward(self, critique: Critique) -> Tensor:
        real = critique.real
        deviation = real.std(correction=0) if real.numel() > 1 else real.new_zeros(())
        x = interpolate(real, real + self.spread * deviation * torch.rand_like(real))
        return self.weight * _distance_from_unit_norm(critique.gradient(x, critique.label))


class R1(DiscriminatorRegularizer):
    r"""Creates the zero-centred gradient penalty on real images: γ/2 E[‖∇l(x)‖²].

    References:
        | Which Training Methods for GANs do actually Converge? (Mescheder, Geiger & Nowozin, 2018), equation (9)
        | https://arxiv.org/abs/1801.04406

    Arguments:
        gamma: The strength γ.
        every: The penalty is computed in every n-th batch, n times as strong.
    """

    needs_gradient = True

    def __init__(self, gamma: float = 10.0, every: int = 1) -> None:
        super().__init__(every)
        self.gamma = _positive("R1", gamma)

    def forward(self, critique: Critique) -> Tensor:
        return 0.5 * self.gamma * critique.real_gradient.square().sum(1).mean()


class R2(DiscriminatorRegularizer):
    r"""Creates the zero-centred gradient penalty on generated images: γ/2 E[‖∇l(G(z))‖²].

    References:
        | Which Training Methods for GANs do actually Converge? (Mescheder, Geiger & Nowozin, 2018), equation (10)
        | https://arxiv.org/abs/1801.04406

    Arguments:
        gamma: The strength γ.
        every: The penalty is computed in every n-th batch, n times as strong.
    """

    needs_gradient = True

    def __init__(self, gamma: float = 10.0, every: int = 1) -> None:
        super().__init__(every)
        self.gamma = _positive("R2", gamma)

    def forward(self, critique: Critique) -> Tensor:
        return 0.5 * self.gamma * critique.fake_gradient.square().sum(1).mean()


def _positive(name: str, strength: float) -> float:
    if not strength > 0:
        raise UserError(f"{name}'s strength is {strength}, and must be above 0")
    return strength
