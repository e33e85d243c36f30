"""The weight clipping of the first Wasserstein GAN."""

__all__ = ["WeightClipping"]

import torch
from torch import nn

from lit_gen.errors import UserError
from lit_gen.functional.regularizer import WeightConstraint


class WeightClipping(WeightConstraint):
    r"""Creates the clipping of every weight of the critic to [−c, c], which holds it Lipschitz, Algorithm 1, line 7.

    References:
        | Wasserstein GAN (Arjovsky, Chintala & Bottou, 2017)
        | https://arxiv.org/abs/1701.07875

    Arguments:
        limit: The bound c.
    """

    def __init__(self, limit: float = 0.01) -> None:
        super().__init__()
        if not limit > 0:
            raise UserError(f"WeightClipping's limit is {limit}, and must be above 0")
        self.limit = limit

    @torch.no_grad()
    def forward(self, discriminator: nn.Module) -> None:
        for parameter in discriminator.parameters():
            parameter.clamp_(-self.limit, self.limit)
