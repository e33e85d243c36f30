"""The parts of a diffusion model's U-Net."""

__all__ = ["Doubling", "MapAttention", "TimedBlock", "group_norm", "zeroed"]

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, scaled_dot_product_attention, silu


def group_norm(features: int) -> nn.GroupNorm:
    """Returns group norm with up to 32 groups of 4 channels or more each."""
    groups = math.gcd(features, 32)
    while groups > 1 and features // groups < 4:
        groups //= 2
    return nn.GroupNorm(groups, features)


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """Has a layer start at zero."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class Doubling(nn.Module):
    r"""Creates a layer that repeats every number twice in both directions, and goes over them with a 3×3 convolution.

    It computes the same by one transposed 4×4 convolution, with 4 products for a number where the other has 9: of the
    nine weights, those that meet the same number are added up first.

    Arguments:
        features: The channels.
    """

    sums: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        convolution = nn.Conv2d(features, features, 3, padding=1)
        self.weight, self.bias = convolution.weight, convolution.bias
        along_one_side = torch.tensor([[0.0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]])  # what each of 3 weights is part of
        self.register_buffer("sums", torch.kron(along_one_side, along_one_side), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, H, W] to [B, C, 2H, 2W]."""
        kernel = (self.weight.flatten(2) @ self.sums).unflatten(2, (4, 4)).transpose(0, 1)
        return conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


class TimedBlock(nn.Module):
    r"""Creates a residual block that is told the time: norm, SiLU, 3×3, norm, gain and bias by the time, SiLU, 3×3.

    References:
        | Denoising Diffusion Probabilistic Models (Ho, Jain & Abbeel, 2020), appendix B
        | https://arxiv.org/abs/2006.11239

        | Diffusion Models Beat GANs on Image Synthesis (Dhariwal & Nichol, 2021), equation (3)
        | https://arxiv.org/abs/2105.05233

    Arguments:
        inputs: The channels that come in.
        outputs: The channels that go out.
        time_dim: The size of the vectors of the time.
        dropout: The share of numbers that dropout sets to 0.
    """

    def __init__(self, inputs: int, outputs: int, time_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1, self.norm2 = group_norm(inputs), group_norm(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time_dim, 2 * outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """Maps [B, C, H, W] and vectors [B, time_dim] to [B, C', H, W]."""
        h = self.norm2(self.conv1(silu(self.norm1(x))))
        gain, bias = self.time(silu(e))[:, :, None, None].chunk(2, dim=1)
        return self.shortcut(x) + self.conv2(self.dropout(silu(torch.addcmul(bias, h, 1 + gain))))


class MapAttention(nn.Module):
    r"""Creates self-attention between a map's positions that starts as the identity.

    References:
        | Attention Is All You Need (Vaswani et al., 2017), section 3.2
        | https://arxiv.org/abs/1706.03762

        | Diffusion Models Beat GANs on Image Synthesis (Dhariwal & Nichol, 2021), section 3.1: 64 channels a head
        | https://arxiv.org/abs/2105.05233

    Arguments:
        features: The channels.
        head_features: The channels of each head, about.
    """

    def __init__(self, features: int, head_features: int = 64) -> None:
        super().__init__()
        self.heads = math.gcd(features, max(1, features // head_features))
        self.norm = group_norm(features)
        self.qkv = nn.Conv2d(features, 3 * features, 1)
        self.out = zeroed(nn.Conv2d(features, features, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, H, W] to [B, C, H, W]."""
        # [B, 3, heads, C/heads, H·W] → three of [B, heads, H·W, C/heads]
        q, k, v = self.qkv(self.norm(x)).flatten(2).unflatten(1, (3, self.heads, -1)).mT.unbind(1)
        h: Tensor = scaled_dot_product_attention(q, k, v)
        return x + self.out(h.mT.flatten(1, 2).unflatten(2, x.shape[2:]).to(torch.promote_types(h.dtype, x.dtype)))
