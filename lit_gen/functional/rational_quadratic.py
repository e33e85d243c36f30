r"""Monotone splines of rational-quadratic pieces, the identity outside of [−B, B].

References:
    | Piecewise Rational Quadratic Interpolation (Gregory & Delbourgo, 1982)
    | https://doi.org/10.1093/imanum/2.2.123

    | Neural Spline Flows (Durkan et al., 2019), section 3.1
    | https://arxiv.org/abs/1906.04032
"""

__all__ = ["rational_quadratic", "rational_quadratic_inverse"]

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad, softmax, softplus

_LEAST = 1e-3  # of a bin's width and height, as shares, and of a derivative
_UNIT = math.log(math.expm1(1.0 - _LEAST))  # softplus of it is a derivative of 1


class _Bin(NamedTuple):
    """The bin of each number: its lower left corner, its width and height, and the slopes at its two knots."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    left: Tensor
    right: Tensor


def rational_quadratic(x: Tensor, raw: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Returns a spline's values and the logarithms of its slopes, both of x's shape […].

    Arguments:
        x: Where, shape […].
        raw: Unbounded parameters of K bins, shape […, 3K − 1]: K widths, K heights, K − 1 derivatives. Zeros make the
            identity.
        bound: B.
    """
    knots_x, knots_y, slopes = _knots(raw, bound)
    inside = (x > -bound) & (x < bound)
    # Numbers outside get a bin too, at which nothing is infinite: a NaN that `where` drops would be in the gradient.
    at = torch.where(inside, x, 0.0)
    b = _bin(at, knots_x, knots_x, knots_y, slopes)
    s, xi = b.height / b.width, (at - b.x) / b.width
    rest = xi * (1 - xi)
    below = s + (b.right + b.left - 2 * s) * rest
    y = b.y + b.height * (s * xi.square() + b.left * rest) / below  # equation (4)
    above = b.right * xi.square() + 2 * s * rest + b.left * (1 - xi).square()
    log_slope = 2 * s.log() + above.log() - 2 * below.log()  # equation (5)
    return torch.where(inside, y, x), torch.where(inside, log_slope, 0.0)


def rational_quadratic_inverse(y: Tensor, raw: Tensor, bound: float) -> Tensor:
    """Returns where a spline has the values y […]; other arguments as for `rational_quadratic`."""
    knots_x, knots_y, slopes = _knots(raw, bound)
    inside = (y > -bound) & (y < bound)
    at = torch.where(inside, y, 0.0)
    bin_ = _bin(at, knots_y, knots_x, knots_y, slopes)
    s, rise = bin_.height / bin_.width, at - bin_.y
    bend = rise * (bin_.right + bin_.left - 2 * s)
    a = bin_.height * (s - bin_.left) + bend  # equations (6) to (8)
    b = bin_.height * bin_.left - bend
    c = -s * rise
    root = (b.square() - 4 * a * c).clamp(min=0.0).sqrt()
    x = bin_.x + bin_.width * 2 * c / (-b - root)
    return torch.where(inside, x, y)


def _knots(raw: Tensor, bound: float) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the knots' x, y and slopes, each […, K + 1]."""
    num = (raw.shape[-1] + 1) // 3
    assert raw.shape[-1] == 3 * num - 1
    widths, heights, slopes = raw.split([num, num, num - 1], dim=-1)
    places = []
    for shares in (widths, heights):
        shares = _LEAST + (1 - _LEAST * num) * softmax(shares, dim=-1)
        inner = bound * (2 * shares.cumsum(dim=-1)[..., :-1] - 1)
        # The last knot is B itself, not a sum of shares, which may miss it by a digit.
        places.append(pad(pad(inner, (1, 0), value=-bound), (0, 1), value=bound))
    slopes = pad(_LEAST + softplus(slopes + _UNIT), (1, 1), value=1.0)  # those of the identity beyond
    return places[0], places[1], slopes


def _bin(at: Tensor, grid: Tensor, knots_x: Tensor, knots_y: Tensor, slopes: Tensor) -> _Bin:
    index = (at[..., None] >= grid[..., 1:-1]).sum(dim=-1, keepdim=True)

    def pick(values: Tensor, shift: int = 0) -> Tensor:
        return values.gather(-1, index + shift).squeeze(-1)

    x, y = pick(knots_x), pick(knots_y)
    return _Bin(x, y, pick(knots_x, 1) - x, pick(knots_y, 1) - y, pick(slopes), pick(slopes, 1))
