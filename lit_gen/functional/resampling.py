"""Affine changes of images by bilinear interpolation, through which gradients of any order pass.

torch's ``grid_sample`` can be differentiated once, and a gradient penalty through an augmentation needs twice. As a
function of the image it is linear, y = Sx, so its derivative is Sᵀ, whose derivative is S again.
"""

__all__ = ["warp"]

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import grid_sample


def warp(x: Tensor, matrix: Tensor) -> Tensor:
    """Changes images by affine maps, their reflections coming in from outside.

    Arguments:
        x: Images, shape [B, C, H, W].
        matrix: For each image the map from a point of the result to the point of x that is seen there, in pixels to the
            right and down from the image's centre, shape [B, 2, 3]. It gets no gradient.
    """
    height, width = x.shape[2:]
    right = torch.arange(width, device=x.device, dtype=x.dtype) - (width - 1) / 2
    down = (torch.arange(height, device=x.device, dtype=x.dtype) - (height - 1) / 2)[:, None]
    m = matrix.detach().to(x.dtype)[..., None, None]
    # Element by element: a matrix product may round its inputs on tensor cores, and with them whole pixels away.
    u = (m[:, 0, 0] * right + m[:, 0, 1] * down + m[:, 0, 2]) * (2 / width)
    v = (m[:, 1, 0] * right + m[:, 1, 1] * down + m[:, 1, 2]) * (2 / height)
    return _Sample.apply(x, torch.stack([u, v], dim=-1))  # type: ignore[no-untyped-call, no-any-return]


def _sampled(x: Tensor, grid: Tensor) -> Tensor:
    return grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


class _Sample(Function):
    """S: reads images at the points of a grid."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = x.shape
        return _sampled(x, grid)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (grid,) = ctx.saved_tensors
        return _Transposed.apply(gradient, grid, ctx.shape), None  # type: ignore[no-untyped-call]


class _Transposed(Function):
    """Sᵀ: adds values up at the pixels that S reads them from."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        x = y.new_zeros(()).expand(shape)  # of which only the shape matters
        # The operator behind grid_sample's own backward; 0, 2 and False are the modes of `_sampled`.
        return torch.ops.aten.grid_sampler_2d_backward(y, x, grid, 0, 2, False, [True, False])[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (grid,) = ctx.saved_tensors
        return _Sample.apply(gradient, grid), None, None  # type: ignore[no-untyped-call]
