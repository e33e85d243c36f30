r"""The changes of adaptive discriminator augmentation: pixel blitting, geometry, colour ("bgc").

Each change is drawn for each image, and happens with probability p; an image that none of a group's changes befalls
leaves that group as it came, to the last bit.

References:
    | Training Generative Adversarial Networks with Limited Data (Karras et al., 2020), appendix B
    | https://arxiv.org/abs/2006.06676
"""

__all__ = ["blit", "hue_rotation", "luma_flip", "recolour", "saturation", "transform"]

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from lit_gen.functional.blitting import mirrored, shifted, turned
from lit_gen.functional.resampling import warp

_LUMA = 1 / math.sqrt(3)  # each component of v, the unit vector along which grey colours lie


def blit(x: Tensor, p: Tensor) -> Tensor:
    """Mirrors, turns by quarters (square images only) and shifts by whole pixels, up to ⅛ of the size.

    Arguments:
        x: Images, shape [B, C, H, W].
        p: The probability of each change, a scalar.
    """
    num, _, height, width = x.shape
    x = mirrored(x, _happens(x, p) & (_uniform(x) < 0.5))
    if height == width:
        x = turned(x, _happens(x, p) * torch.randint(4, (num,), device=x.device))
    happens = _happens(x, p)
    right, down = ((happens * (0.25 * _uniform(x) - 0.125) * n).round().long() for n in (width, height))
    return shifted(x, down, right, fill="reflection")


def transform(x: Tensor, p: Tensor) -> Tensor:
    """Scales by lognormal(0, (0.2 ln 2)²) in both and in one direction, rotates, and shifts by N(0, ⅛²) of the size.

    The changes are composed to one affine map, so that pixels are interpolated once; arguments as for `blit`.
    """
    height, width = x.shape[2:]
    deviation = 0.2 * math.log(2)
    # Rotations before and after the stretch, so that its axis is any; one of the two happens with probability p.
    p_turn = 1 - (1 - p).sqrt()
    happens = [_happens(x, q) for q in (p, p_turn, p, p_turn, p)]
    size, stretch = ((deviation * _normal(x)).exp() for _ in range(2))
    angle, second_angle = (2 * math.pi * _uniform(x) - math.pi for _ in range(2))
    zero, one = torch.zeros_like(size), torch.ones_like(size)
    # From the result's pixels back to the image's: inverses, from the first change to the last.
    steps = (
        _matrix(1 / size, zero, zero, 1 / size),
        _matrix(angle.cos(), angle.sin(), -angle.sin(), angle.cos()),
        _matrix(1 / stretch, zero, zero, stretch),
        _matrix(second_angle.cos(), second_angle.sin(), -second_angle.sin(), second_angle.cos()),
        _matrix(one, zero, zero, one, -width / 8 * _normal(x), -height / 8 * _normal(x)),
    )
    identity = torch.eye(3, device=x.device)
    backward = identity
    for happened, step in zip(happens, steps, strict=True):
        backward = backward @ torch.where(happened[:, None, None], step, identity)
    changed = torch.stack(happens).any(0)[:, None, None, None]
    return torch.where(changed, warp(x, backward[:, :2]), x)


def recolour(x: Tensor, p: Tensor) -> Tensor:
    """Changes brightness and contrast and, of three channels, luma, hue and saturation; arguments as for `blit`.

    They are brightness + N(0, 0.2²), contrast · lognormal(0, (0.5 ln 2)²), colours mirrored about the plane across the
    grey axis, turned about that axis by U(−π, π), and drawn to or from it by lognormal(0, (ln 2)²).
    """
    brightness = torch.where(_happens(x, p), 0.2 * _normal(x), 0.0)
    contrast = torch.where(_happens(x, p), (0.5 * math.log(2) * _normal(x)).exp(), 1.0)
    if x.shape[1] != 3:
        return (x + brightness[:, None, None, None]) * contrast[:, None, None, None]
    identity = torch.eye(4, device=x.device)
    matrix = torch.diag_embed(torch.stack([contrast, contrast, contrast, torch.ones_like(contrast)], dim=1))
    matrix[:, :3, 3] = (brightness * contrast)[:, None]
    steps = (
        luma_flip((_uniform(x) < 0.5).float()),
        hue_rotation(2 * math.pi * _uniform(x) - math.pi),
        saturation((math.log(2) * _normal(x)).exp()),
    )
    for step in steps:
        matrix = torch.where(_happens(x, p)[:, None, None], step, identity) @ matrix
    columns = [matrix[:, :3, i, None, None] for i in range(4)]
    return sum((columns[i] * x[:, i : i + 1] for i in range(3)), columns[3])


def luma_flip(flipped: Tensor) -> Tensor:
    """Returns the matrices I − 2vvᵀ i that exchange light and dark where i is 1, shape [B, 4, 4].

    Arguments:
        flipped: i, 0 or 1, shape [B].
    """
    grey, rest, fixed = _grey_axis(flipped)
    return grey + rest + fixed - 2 * flipped[:, None, None] * grey


def hue_rotation(angle: Tensor) -> Tensor:
    """Returns the rotations about the grey axis by angles [B] in radians, shape [B, 4, 4]."""
    # Rodrigues: R = vvᵀ + cos θ (I − vvᵀ) + sin θ [v]×
    grey, rest, fixed = _grey_axis(angle)
    cycle = torch.eye(3, device=angle.device).roll(1, 0)
    cross = pad(_LUMA * (cycle - cycle.T), (0, 1, 0, 1))
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return grey + fixed + cosine * rest + sine * cross


def saturation(factor: Tensor) -> Tensor:
    """Returns the matrices vvᵀ + (I − vvᵀ) s that scale the distance from grey by factors s [B], shape [B, 4, 4]."""
    grey, rest, fixed = _grey_axis(factor)
    return grey + fixed + factor[:, None, None] * rest


def _grey_axis(like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the projections on v, on the colours across it, and on the constant 1; each of shape [4, 4]."""
    # Made where they are needed: what is copied to a device waits for it.
    grey = pad(torch.full((3, 3), 1 / 3, device=like.device), (0, 1, 0, 1))
    rest = pad(torch.eye(3, device=like.device), (0, 1, 0, 1)) - grey
    return grey, rest, torch.eye(4, device=like.device) - grey - rest


def _matrix(
    a: Tensor, b: Tensor, c: Tensor, d: Tensor, right: Tensor | None = None, down: Tensor | None = None
) -> Tensor:
    """Returns the affine maps with rows (a, b, right), (c, d, down) and (0, 0, 1), shape [B, 3, 3]."""
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    right, down = zero if right is None else right, zero if down is None else down
    return torch.stack([a, b, right, c, d, down, zero, zero, one], dim=1).view(-1, 3, 3)


def _happens(x: Tensor, p: Tensor) -> Tensor:
    return _uniform(x) < p


def _uniform(x: Tensor) -> Tensor:
    return torch.rand(len(x), device=x.device)


def _normal(x: Tensor) -> Tensor:
    return torch.randn(len(x), device=x.device)
