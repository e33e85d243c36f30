"""Ways between two latents."""

__all__ = ["lerp", "slerp"]

import torch
from torch import Tensor


def lerp(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Returns the points (1 − t)·start + t·end of the straight line, shape [T, D]; see `slerp`.

    Between two draws from N(0, I) in many dimensions its middle has only 1/√2 of their norm.
    """
    return (1 - t)[:, None] * start + t[:, None] * end


def slerp(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    r"""Returns points of the great circle between two latents, along which a norm that both have stays what it is.

    .. math:: \frac{\sin((1 - t)\,\Omega)}{\sin \Omega}\, a + \frac{\sin(t\,\Omega)}{\sin \Omega}\, b

    with Ω the angle between a and b. Where they point the same way, it is the straight line; where they point opposite
    ways, no great circle is the shortest, and it is the straight line, too.

    References:
        | Animating Rotation with Quaternion Curves (Shoemake, 1985)

        | Sampling Generative Networks (White, 2016)
        | https://arxiv.org/abs/1609.04468

    Arguments:
        start: The latent at t = 0, shape [D].
        end: The latent at t = 1, shape [D].
        t: The places in [0, 1], shape [T].

    Returns:
        Latents, shape [T, D]; exactly `start` and `end` at t = 0 and 1.
    """
    assert start.shape == end.shape and start.ndim == 1 and t.ndim == 1
    norms = start.norm() * end.norm()
    omega = torch.acos((start @ end / norms).clamp(-1.0, 1.0)) if norms > 0 else torch.zeros(())
    if omega.sin() < 1e-3:
        return lerp(start, end, t)
    # sin(0) is 0 and sin(Ω)/sin(Ω) is 1 exactly, so the ends are.
    return (((1 - t) * omega).sin() / omega.sin())[:, None] * start + ((t * omega).sin() / omega.sin())[:, None] * end
