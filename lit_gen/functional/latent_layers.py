"""The affine layers that a latent meets first, whatever network it goes into."""

__all__ = ["latent_weights"]

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class _Met(NamedTuple):
    """A layer, the shape [F, 1, …] of one of its inputs, and which input [F] is which number [D] of the latent."""

    layer: nn.Module
    shape: torch.Size
    place: Tensor


@torch.no_grad()
def latent_weights(network: nn.Module, forward: Callable[[Tensor], Any], z: Tensor) -> list[Tensor]:
    """Returns the matrices A of all layers Az + b that a network applies to its latent, or to a part of it.

    A layer is recognised by what it does, not by its class: it has a weight, its input holds numbers of the latent as
    they are (beside a label's code, perhaps), and it is affine. Its matrix is read off its outputs.

    Arguments:
        network: The network, in evaluation mode.
        forward: Calls it on latents.
        z: Two or more latents that no two numbers of which are equal, shape [N, D].

    Returns:
        A matrix [out, D] per layer, in the order of the calls; zero for numbers that a layer does not get. Empty if no
        layer meets the latent as it is.
    """
    met: list[_Met] = []

    def look(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        x = inputs[0] if inputs else None
        if not isinstance(x, Tensor) or not isinstance(output, Tensor) or len(x) != len(z) or not x.is_floating_point():
            return
        if x[0].numel() != x.shape[1]:  # a map: the latent has been reshaped, or left behind
            return
        place = (x.flatten(1)[:, :, None] == z[:, None, :]).all(dim=0)
        if place.any():
            met.append(_Met(layer, x.shape[1:], place))

    layers = [layer for layer in network.modules() if isinstance(getattr(layer, "weight", None), Tensor)]
    hooks = [layer.register_forward_hook(look) for layer in layers]
    try:
        forward(z)
    finally:
        for hook in hooks:
            hook.remove()
    matrices = [_matrix(layer, shape, place.to(z.dtype)) for layer, shape, place in met]
    return [matrix for matrix in matrices if matrix is not None]


def _matrix(layer: nn.Module, shape: torch.Size, place: Tensor) -> Tensor | None:
    """Returns A [out, D] of layer(x) = Az + b, None if the layer is not affine."""

    def answer(z: Tensor) -> Tensor:
        return layer((z @ place.T).view(len(z), *shape)).flatten(1)

    size = place.shape[1]
    zero = answer(place.new_zeros(1, size))
    a = (answer(torch.eye(size, dtype=place.dtype, device=place.device)) - zero).T
    z = torch.linspace(-1, 2, size, dtype=place.dtype, device=place.device)[None]
    return a if torch.allclose(answer(z), z @ a.T + zero, rtol=1e-3, atol=1e-4 * float(a.abs().max())) else None
