"""Consistency regularization: a discriminator's verdict should not change with what does not change the image."""

__all__ = ["ConsistencyRegularization"]

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.blitting import mirrored, shifted
from lit_gen.functional.regularizer import Critique, DiscriminatorRegularizer


class ConsistencyRegularization(DiscriminatorRegularizer):
    r"""Creates the consistency term λ E[(l(x) − l(T(x)))²]; T mirrors at random and shifts by a few pixels.

    With a `fake_weight` it is balanced: the same for generated images, whose artefacts T would else bring about.

    References:
        | Consistency Regularization for Generative Adversarial Networks (Zhang et al., 2020), equation (3)
        | https://arxiv.org/abs/1910.12027

        | Improved Consistency Regularization for GANs (Zhao et al., 2021), balanced consistency
        | https://arxiv.org/abs/2002.04724

    Arguments:
        weight: The strength λ for real images.
        fake_weight: The strength for generated images; 0 as in the first paper, 10 as in the second.
        shift: The farthest shift in pixels.
        flip: Whether images are mirrored; not for digits, say.
        every: The term is computed in every n-th batch, n times as strong.
    """

    def __init__(
        self, weight: float = 10.0, fake_weight: float = 0.0, shift: int = 4, flip: bool = True, every: int = 1
    ) -> None:
        super().__init__(every)
        if weight < 0 or fake_weight < 0 or not weight + fake_weight > 0:
            raise UserError(
                f"ConsistencyRegularization's weight is {weight} and fake_weight {fake_weight}; none may be "
                "negative, and one must be above 0"
            )
        if shift < 0:
            raise UserError(f"ConsistencyRegularization's shift is {shift}, and must not be negative")
        self.weight, self.fake_weight, self.shift, self.flip = weight, fake_weight, shift, flip

    def forward(self, critique: Critique) -> Tensor:
        loss = critique.real.new_zeros(())
        if self.weight:
            other = critique.critic(self.changed(critique.real), critique.label)
            loss = loss + self.weight * (critique.real_logits - other).square().mean()
        if self.fake_weight:
            other = critique.critic(self.changed(critique.fake), critique.fake_label)
            loss = loss + self.fake_weight * (critique.fake_logits - other).square().mean()
        return loss

    def changed(self, x: Tensor) -> Tensor:
        """Returns T(x), each image [C, H, W] of a batch changed by itself."""
        if self.flip:
            x = mirrored(x, torch.rand(len(x), device=x.device) < 0.5)
        down, right = (torch.randint(-self.shift, self.shift + 1, (len(x),), device=x.device) for _ in range(2))
        return shifted(x, down, right, fill="reflection")
