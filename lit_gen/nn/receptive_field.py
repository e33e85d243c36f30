"""What an autoregressive network sees of an image from one of its pixels."""

__all__ = ["influence"]

import torch
from torch import Tensor

from lit_gen.nn.causal_network import CausalNetwork


def influence(
    network: CausalNetwork, planes: Tensor, row: int, column: int, label: Tensor | None = None, seed: int = 0
) -> Tensor:
    r"""Returns how much a pixel's numbers θ depend on each pixel of the images, [H, W]; exactly 0 where not at all.

    With a random vector r from N(0, I) for each image, it is the root of a mean over images,

    .. math:: \sqrt{ \sum_c (\partial \, r \cdot \theta / \partial x_c)^2 }, \quad
        \mathbb{E}_r (\partial \, r \cdot \theta / \partial x_c)^2 = \sum_k (\partial \theta_k / \partial x_c)^2

    Arguments:
        network: The network, in evaluation mode.
        planes: What it sees of the images, [B, num_inputs, H, W].
        row: The pixel's row.
        column: Its column.
        label: Class labels, shape [B], for conditional networks.
        seed: What the random vectors come from.
    """
    x = planes.detach().requires_grad_()
    with torch.enable_grad():
        theta = network(x, label)[:, :, row, column]
        r = torch.randn(theta.shape, generator=torch.Generator().manual_seed(seed)).to(theta)
        (gradient,) = torch.autograd.grad((r * theta).sum(), x)
    return gradient.square().sum(dim=1).mean(dim=0).sqrt()
