"""Glow: steps of ActNorm, an invertible 1×1 convolution and an affine coupling, at several scales."""

__all__ = ["Glow"]

import math
from functools import partial
from typing import Literal

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.act_norm import ActNorm
from lit_gen.nn.bijection import Bijection, Chain, Flatten
from lit_gen.nn.coupling import Coupling
from lit_gen.nn.coupling_networks import ConvNetwork
from lit_gen.nn.coupling_transforms import AdditiveTransform, AffineTransform, CouplingTransform
from lit_gen.nn.flow_network import FlowNetwork
from lit_gen.nn.flow_priors import ClassPrior, Split
from lit_gen.nn.invertible_conv import InvertibleConv
from lit_gen.nn.partitions import Halves
from lit_gen.nn.squeeze import Squeeze, num_levels

_MOST_LEVELS = 3


class Glow(FlowNetwork):
    r"""Creates the network of Glow, for images of any number of channels.

    Each level halves its maps, has some steps of flow, and lets go of half of the channels, to a Gaussian whose mean
    and width a convolution of the other half says; the last keeps all. With classes, each has a Gaussian of its own on
    the last level.

    Heights and widths must be multiples of 2^levels, and so even.

    References:
        | Glow: Generative Flow with Invertible 1×1 Convolutions (Kingma & Dhariwal, 2018), sections 3 and 5
        | https://arxiv.org/abs/1807.03039

    Arguments:
        image_shape: The images' channels, height and width.
        num_classes: The number of classes of a conditional network, None for an unconditional one.
        levels: How often maps are halved; None for as often as the size allows, at most the 3 times of CIFAR-10.
        steps: The steps of flow per level.
        features: The hidden channels of a coupling's network.
        coupling: ``affine`` or ``additive``.
        checkpoint_activations: Whether activations are computed again in the backward pass, which saves memory.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        levels: int | None = None,
        steps: int = 32,
        features: int = 512,
        coupling: Literal["affine", "additive"] = "affine",
        checkpoint_activations: bool = False,
    ) -> None:
        if coupling not in ("affine", "additive"):
            raise UserError(f"Glow's coupling is '{coupling}'; it can be 'affine' or 'additive'")
        if steps < 1:
            raise UserError(f"Glow's steps is {steps}, and must be at least 1")
        levels = num_levels("Glow", image_shape, levels, _MOST_LEVELS, least=1)

        def transform(channels: int) -> CouplingTransform:
            return AffineTransform(channels, "sigmoid") if coupling == "affine" else AdditiveTransform()

        def level(shape: Shape, left: int) -> Chain:
            channels, height, width = 4 * shape[0], shape[1] // 2, shape[2] // 2
            layers: list[Bijection] = [Squeeze()]
            for _ in range(steps):
                half, network = Halves(channels), partial(ConvNetwork, features=features)
                layers += [
                    ActNorm(channels),
                    InvertibleConv(channels),
                    Coupling(half, transform(half.moved), network),
                ]
            squeezed = (channels, height, width)
            if left > 1:
                layers.append(Split(squeezed, level((channels // 2, height, width), left - 1), learned=True))
            else:
                prior = [ClassPrior(math.prod(squeezed), num_classes)] if num_classes else []
                layers += [Flatten(squeezed), *prior]
            return Chain(layers, checkpoint_activations)

        super().__init__(level(image_shape, levels), num_classes)
