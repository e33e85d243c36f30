"""The norms of networks that translate images, by name, and the weights that these networks start from."""

__all__ = ["Norm", "initialise", "make_norm"]

from collections.abc import Callable
from typing import Literal, TypeAlias

from torch import nn

from lit_gen.errors import UserError

Norm: TypeAlias = Literal["instance", "batch", "none"]
_NORMS: dict[str, Callable[..., nn.Module]] = {
    # Each image by its own statistics, in training and after: running ones would be of other images.
    "instance": lambda features, affine: nn.InstanceNorm2d(features, affine=False, track_running_stats=False),
    "batch": nn.BatchNorm2d,
    "none": lambda features, affine: nn.Identity(),
}


def make_norm(norm: Norm, features: int, affine: bool = True) -> nn.Module:
    r"""Makes a normalisation of maps [B, C, H, W].

    References:
        | Instance Normalization: The Missing Ingredient for Fast Stylization (Ulyanov et al., 2016)
        | https://arxiv.org/abs/1607.08022

    Arguments:
        norm: ``instance`` (without gain, bias or running statistics), ``batch`` or ``none``.
        features: The channels C.
        affine: Whether batch norm has a gain and bias.

    Raises:
        UserError: If there is no such norm.
    """
    if norm not in _NORMS:
        raise UserError(f"norm is '{norm}'; it can be {', '.join(_NORMS)}")
    return _NORMS[norm](features, affine=affine)


def initialise(network: nn.Module) -> None:
    """Draws weights from N(0, 0.02²) and batch norm's gains from N(1, 0.02²); biases are 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1.0, 0.02)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
