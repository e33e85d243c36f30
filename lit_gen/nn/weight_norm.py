r"""Weight normalisation: the weights of each output of a layer by length and direction, the first set from data.

.. math:: w = g \, v / \|v\|

With μ and σ the mean and the standard deviation, over images and positions, of an output in the first batch of
training, its start is

.. math:: g \leftarrow s \, g / \sigma, \quad b \leftarrow s (b - \mu) / \sigma
"""

__all__ = ["normalised"]

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from lit_gen.functional.across_processes import sum_across_processes

_LEAST_STD = 1e-6
_Layer = TypeVar("_Layer", bound=nn.Module)


def normalised(layer: _Layer, dim: int = 0, size: float = 1.0) -> _Layer:
    r"""Returns the layer, a convolution, with weights by length and direction, at first the same.

    Its first batch of training (the first part, where it is split), over all processes, sets lengths and biases such
    that each output has mean 0 and standard deviation s; an output that does not vary keeps its length. A checkpoint
    says whether that has been.

    References:
        | Weight Normalization (Salimans & Kingma, 2016), section 3: equations (5) and (6)
        | https://arxiv.org/abs/1602.07868

    Arguments:
        layer: The layer, with a ``weight`` and a ``bias``, from maps [B, in, H, W] to maps [B, out, H, W].
        dim: The dimension of its weight that counts the outputs.
        size: The standard deviation s that outputs start with.
    """
    weight_norm(layer, dim=dim)
    layer.register_buffer("initialised", torch.tensor(False))
    start = _Start(size)
    layer.register_forward_pre_hook(start)
    layer.register_load_state_dict_pre_hook(start.loading)
    return layer


class _Start:
    """Sets a layer's start before the first of its passes that gradients are taken of."""

    def __init__(self, size: float) -> None:
        # Beside the buffer, which lies on the device: to look at it there would wait for the device in every step.
        self.size, self.done = size, False

    def __call__(self, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        # Without gradients there is no training, whatever the mode: samples must not set the start.
        if layer.training and not self.done and torch.is_grad_enabled():
            self.initialise(layer, inputs)

    @torch.no_grad()
    def initialise(self, layer: Any, inputs: tuple[Any, ...]) -> None:
        outputs: Tensor = layer.forward(*inputs).transpose(0, 1).flatten(1).double()
        num = sum_across_processes(outputs.new_tensor(outputs.shape[1]))
        mean = sum_across_processes(outputs.sum(dim=1)) / num
        std = (sum_across_processes((outputs - mean[:, None]).square().sum(dim=1)) / num).sqrt()
        gain = torch.where(std > _LEAST_STD, self.size / std, 1.0)
        g = layer.parametrizations.weight.original0
        g.mul_(gain.to(g.dtype).view_as(g))
        layer.bias.copy_((layer.bias - mean) * gain)
        layer.initialised.fill_(True)
        torch.clear_autocast_cache()  # which holds the bias as it was
        self.done = True

    def loading(self, layer: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        """Notes whether what is loaded has its start; all that lacks the mark is older than it, and was trained."""
        self.done = bool(state_dict.setdefault(f"{prefix}initialised", torch.tensor(True)))
