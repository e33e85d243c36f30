"""A 1×1 convolution that mixes channels and can be undone."""

__all__ = ["InvertibleConv"]

import torch
from torch import Tensor, nn
from torch.linalg import solve_triangular

from lit_gen.nn.bijection import Bijection


class InvertibleConv(Bijection):
    r"""Creates a 1×1 convolution by a square matrix, which starts as a random rotation and is kept as its factors.

    .. math:: W = P L (U + \mathrm{diag}(s)), \qquad \log |\det| = H W \sum \log |s|

    P is a permutation that stays, L lower triangular with ones on the diagonal, U strictly upper triangular. The signs
    of s stay and log |s| is trained, so that the matrix never becomes singular.

    References:
        | Glow: Generative Flow with Invertible 1×1 Convolutions (Kingma & Dhariwal, 2018), section 3.2
        | https://arxiv.org/abs/1807.03039

    Arguments:
        channels: The channels C.
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64))
        permutation, lower, upper = (factor.float() for factor in torch.linalg.lu(rotation))
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", upper.diagonal().sign().clone())
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_s = nn.Parameter(upper.diagonal().abs().log())

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps [B, C, H, W] to z of that shape and log-determinants [B]."""
        with torch.autocast(x.device.type, enabled=False):
            lower, upper = self._factors()
            weight = self.permutation @ lower @ upper
            z = nn.functional.conv2d(x, weight[:, :, None, None])
            return z, (x[0, 0].numel() * self.log_s.sum()).expand(len(x))

    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            lower, upper = self._factors()
            weight = solve_triangular(lower, self.permutation.T, upper=False, unitriangular=True)
            weight = solve_triangular(upper, weight, upper=True)
            return nn.functional.conv2d(z, weight[:, :, None, None])

    def _factors(self) -> tuple[Tensor, Tensor]:
        identity = torch.eye(len(self.log_s), dtype=self.lower.dtype, device=self.lower.device)
        return self.lower.tril(-1) + identity, self.upper.triu(1) + torch.diag(self.sign * self.log_s.exp())
