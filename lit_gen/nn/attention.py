"""Self-attention between the positions of a map."""

__all__ = ["SelfAttention"]

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import max_pool2d, scaled_dot_product_attention

from lit_gen.errors import UserError


class SelfAttention(nn.Module):
    r"""Creates self-attention that starts as the identity: x + γ W_v softmax(QᵀK) V, with γ = 0 at first.

    Queries and keys have C/8 channels, values C/2; keys and values are max-pooled to half the size, as in the authors'
    code. Scores are not scaled.

    References:
        | Self-Attention Generative Adversarial Networks (Zhang et al., 2019), section 3
        | https://arxiv.org/abs/1805.08318

    Arguments:
        features: The channels C.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        if features < 1:
            raise UserError(f"features is {features}, and must be at least 1")
        inner, values = max(features // 8, 1), max(features // 2, 1)
        self.query = nn.Conv2d(features, inner, 1, bias=False)
        self.key = nn.Conv2d(features, inner, 1, bias=False)
        self.value = nn.Conv2d(features, values, 1, bias=False)
        self.out = nn.Conv2d(values, features, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, H, W] to [B, C, H, W]."""
        q = _tokens(self.query(x))
        k, v = (_tokens(max_pool2d(layer(x), 2, ceil_mode=True)) for layer in (self.key, self.value))
        # Fused kernels cannot be differentiated twice, as gradient penalties do.
        with sdpa_kernel(SDPBackend.MATH):
            attended = scaled_dot_product_attention(q, k, v, scale=1.0)
        return x + self.gamma * self.out(attended.mT.unflatten(2, x.shape[2:]))


def _tokens(x: Tensor) -> Tensor:
    """Turns maps [B, C, H, W] into sequences [B, H·W, C]."""
    return x.flatten(2).mT
