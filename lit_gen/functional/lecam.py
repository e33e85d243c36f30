"""LeCam regularization: logits that stay near the running means of the other side's."""

__all__ = ["LeCamRegularization"]

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.across_processes import sum_across_processes
from lit_gen.functional.regularizer import Critique, DiscriminatorRegularizer


class LeCamRegularization(DiscriminatorRegularizer):
    r"""Creates the regularization λ (E[(l(x) − α_F)²] + E[(l(G(z)) − α_R)²]), for little data.

    α_R and α_F are running means of the logits of real and of generated images, over all processes; they are constants
    to the discriminator. They start at the first batch's own means, not at 0, so that there is no phase in which the
    anchors lie far from any logit; each batch joins them before it is compared with them.

    References:
        | Regularizing Generative Adversarial Networks under Limited Data (Tseng et al., 2021), equations (3) and (4)
        | https://arxiv.org/abs/2104.03310

    Arguments:
        weight: The strength λ; by default that of the authors' BigGAN on CIFAR-10.
        decay: What the running means keep of themselves in a batch, in [0, 1).
        every: The term is computed in every n-th batch, n times as strong.
    """

    real_mean: Tensor
    fake_mean: Tensor
    started: Tensor

    def __init__(self, weight: float = 0.3, decay: float = 0.99, every: int = 1) -> None:
        super().__init__(every)
        if not weight > 0:
            raise UserError(f"LeCamRegularization's weight is {weight}, and must be above 0")
        if not 0 <= decay < 1:
            raise UserError(f"LeCamRegularization's decay is {decay}, and must be in [0, 1)")
        self.weight, self.decay = weight, decay
        self.register_buffer("real_mean", torch.zeros(()))
        self.register_buffer("fake_mean", torch.zeros(()))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def forward(self, critique: Critique) -> Tensor:
        real, fake = critique.real_logits, critique.fake_logits
        self._observe(real.detach(), fake.detach())
        alpha_r, alpha_f = self.real_mean.clone(), self.fake_mean.clone()  # the buffers change before the backward pass
        return self.weight * ((real - alpha_f).square().mean() + (fake - alpha_r).square().mean())

    @torch.no_grad()
    def _observe(self, real: Tensor, fake: Tensor) -> None:
        sums = sum_across_processes(torch.stack([real.sum(), fake.sum(), real.new_tensor(len(real))]))
        # Half precision overflows now and then; the step is skipped, and the means must not keep what it saw.
        finite = sums.isfinite().all()
        keep = torch.where(self.started, self.decay, 0.0)
        for mean, now in ((self.real_mean, sums[0] / sums[2]), (self.fake_mean, sums[1] / sums[2])):
            mean.copy_(torch.where(finite, now + keep * (mean - now), mean))
        self.started.logical_or_(finite)
