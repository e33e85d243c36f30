"""Flows of dense couplings, for points of the plane and other short vectors."""

__all__ = ["DenseRealNVP", "SplineFlow"]

import math
from collections.abc import Callable
from functools import partial

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.act_norm import ActNorm
from lit_gen.nn.bijection import Bijection, Chain, Flatten
from lit_gen.nn.coupling import Coupling
from lit_gen.nn.coupling_networks import DenseNetwork
from lit_gen.nn.coupling_transforms import AffineTransform, CouplingTransform, SplineTransform
from lit_gen.nn.flow_network import FlowNetwork
from lit_gen.nn.partitions import Parity


def _layers(
    name: str,
    image_shape: Shape,
    num_classes: int | None,
    couplings: int,
    transform: Callable[[int], CouplingTransform],
    network: Callable[..., DenseNetwork],
) -> list[Bijection]:
    """Returns couplings that move odd and even places in turn, each after an ActNorm."""
    size = math.prod(image_shape)
    if size < 2 or couplings < 1:
        raise UserError(f"{name} needs 2 numbers and 1 coupling or more; these are {size} and {couplings}")
    layers: list[Bijection] = [Flatten(image_shape)]
    for i in range(couplings):
        part = Parity(size, i % 2 == 1)
        layers += [
            ActNorm(size),
            Coupling(part, transform(part.moved), partial(network, context=num_classes or 0)),
        ]
    return [*layers, ActNorm(size)]


class DenseRealNVP(FlowNetwork):
    r"""Creates affine couplings with dense networks, with ActNorm between them; with classes, they know the label.

    A point of the plane is an image of two channels and one pixel. The first ActNorm brings data of any scale to unit
    variance. The paper's networks are convolutional; these sizes are for the plane.

    References:
        | Density Estimation Using Real NVP (Dinh, Sohl-Dickstein & Bengio, 2017), section 3
        | https://arxiv.org/abs/1605.08803

    Arguments:
        image_shape: The images' channels, height and width, whatever they are, with 2 numbers or more.
        num_classes: The number of classes of a conditional network, None for an unconditional one.
        couplings: The coupling layers.
        width: The units of each hidden layer of a coupling's network.
        depth: Its hidden layers.
        checkpoint_activations: Whether activations are computed again in the backward pass, which saves memory.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        couplings: int = 8,
        width: int = 128,
        depth: int = 2,
        checkpoint_activations: bool = False,
    ) -> None:
        network = partial(DenseNetwork, width=width, depth=depth)
        layers = _layers("DenseRealNVP", image_shape, num_classes, couplings, AffineTransform, network)
        super().__init__(Chain(layers, checkpoint_activations), num_classes)


class SplineFlow(FlowNetwork):
    r"""Creates couplings by rational-quadratic splines with dense networks; otherwise as `DenseRealNVP`.

    Where an affine coupling moves and stretches a line, a spline bends it: few layers can part what lies in pieces.
    Sizes are for the plane.

    References:
        | Neural Spline Flows (Durkan et al., 2019), section 3
        | https://arxiv.org/abs/1906.04032

    Arguments:
        image_shape, num_classes, width, depth, checkpoint_activations: See `DenseRealNVP`.
        couplings: The coupling layers.
        bins: The pieces of each spline.
        bound: Half the length of the interval around 0 that splines bend, in standard deviations of the data.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        couplings: int = 4,
        bins: int = 16,
        bound: float = 4.0,
        width: int = 128,
        depth: int = 2,
        checkpoint_activations: bool = False,
    ) -> None:
        network = partial(DenseNetwork, width=width, depth=depth)
        layers = _layers(
            "SplineFlow", image_shape, num_classes, couplings, lambda channels: SplineTransform(bins, bound), network
        )
        super().__init__(Chain(layers, checkpoint_activations), num_classes)
