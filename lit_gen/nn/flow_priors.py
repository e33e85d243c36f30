"""Gaussians with learned means and widths, as layers: what is left when they are undone is standard normal."""

__all__ = ["ClassPrior", "Split"]

import math

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.nn.bijection import Bijection


class Split(Bijection):
    r"""Creates the layer that lets half of the channels go, and hands the rest on to further layers.

    .. math:: (h, z_1) = x, \qquad \epsilon = (z_1 - \mu(h)) / \sigma(h), \qquad z = (f(h), \epsilon)

    With μ = 0 and σ = 1 it is RealNVP's; learned, from a 3×3 convolution that starts at zero, Glow's.

    References:
        | Density Estimation Using Real NVP (Dinh, Sohl-Dickstein & Bengio, 2017), section 3.6
        | https://arxiv.org/abs/1605.08803

        | Glow: Generative Flow with Invertible 1×1 Convolutions (Kingma & Dhariwal, 2018)
        | https://arxiv.org/abs/1807.03039

    Arguments:
        shape: The channels C (an even number), height and width that come in.
        rest: f, which maps [B, C/2, H, W] to vectors.
        learned: Whether μ and σ are learned.
    """

    def __init__(self, shape: Shape, rest: Bijection, learned: bool = False) -> None:
        super().__init__()
        channels, height, width = shape
        assert channels % 2 == 0
        self.shape = (channels // 2, height, width)
        self.rest = rest
        self.prior = nn.Conv2d(channels // 2, channels, 3, padding=1) if learned else None
        if self.prior is not None:
            nn.init.zeros_(self.prior.weight)
            nn.init.zeros_(self.prior.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps [B, C, H, W] to vectors [B, C·H·W] and log-determinants [B]."""
        h, z1 = x.chunk(2, dim=1)
        z, log_det = self.rest(h, condition)
        if self.prior is not None:
            mean, log_std = self.prior(h).to(x.dtype).chunk(2, dim=1)
            z1 = (z1 - mean) * (-log_std).exp()
            log_det = log_det - log_std.flatten(1).sum(dim=1)
        return torch.cat([z, z1.flatten(1)], dim=1), log_det

    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        size = math.prod(self.shape)
        h = self.rest.inverse(z[:, :-size], condition)
        z1 = z[:, -size:].reshape(-1, *self.shape)
        if self.prior is not None:
            mean, log_std = self.prior(h).to(z.dtype).chunk(2, dim=1)
            z1 = z1 * log_std.exp() + mean
        return torch.cat([h, z1], dim=1)


class ClassPrior(Bijection):
    r"""Creates a Gaussian for each class, :math:`\epsilon = (z - \mu_y) / \sigma_y`; all start as the standard one.

    References:
        | Glow: Generative Flow with Invertible 1×1 Convolutions (Kingma & Dhariwal, 2018)
        | https://arxiv.org/abs/1807.03039

    Arguments:
        size: The numbers D of a vector.
        num_classes: The number of classes, whose one-hot codes [B, K] are the condition.
    """

    def __init__(self, size: int, num_classes: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(num_classes, size))
        self.log_std = nn.Parameter(torch.zeros(num_classes, size))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps vectors [B, D] to vectors and log-determinants [B]."""
        mean, log_std = self._of(condition)
        return (x - mean) * (-log_std).exp(), -log_std.sum(dim=1)

    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        mean, log_std = self._of(condition)
        return z * log_std.exp() + mean

    def _of(self, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        assert condition is not None, "the prior needs classes"
        label = condition.argmax(dim=1)
        return self.mean[label], self.log_std[label]
