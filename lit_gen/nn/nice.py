"""NICE: additive couplings of dense layers, and a scale for each number."""

__all__ = ["NICE"]

import math
from functools import partial

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.bijection import Bijection, Chain, Flatten
from lit_gen.nn.coupling import Coupling, Scaling
from lit_gen.nn.coupling_networks import DenseNetwork
from lit_gen.nn.coupling_transforms import AdditiveTransform
from lit_gen.nn.flow_network import FlowNetwork
from lit_gen.nn.flow_priors import ClassPrior
from lit_gen.nn.partitions import Parity


class NICE(FlowNetwork):
    r"""Creates the network of NICE, for images of any size and number of channels.

    The defaults are the paper's for MNIST, whose prior is logistic (`StandardLogistic`). With classes, each has a
    prior of its own; the paper has none.

    References:
        | NICE: Non-linear Independent Components Estimation (Dinh, Krueger & Bengio, 2015), sections 3 and 5.1
        | https://arxiv.org/abs/1410.8516

    Arguments:
        image_shape: The images' channels, height and width.
        num_classes: The number of classes of a conditional network, None for an unconditional one.
        couplings: The coupling layers, which move odd and even places in turn.
        width: The units of each hidden layer of a coupling's network.
        depth: Its hidden layers.
        checkpoint_activations: Whether activations are computed again in the backward pass, which saves memory.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        couplings: int = 4,
        width: int = 1000,
        depth: int = 5,
        checkpoint_activations: bool = False,
    ) -> None:
        size = math.prod(image_shape)
        if size < 2 or couplings < 1:
            raise UserError(f"NICE needs 2 numbers and 1 coupling or more; these are {size} and {couplings}")
        network = partial(DenseNetwork, width=width, depth=depth)
        layers: list[Bijection] = [Flatten(image_shape)]
        layers += [Coupling(Parity(size, i % 2 == 1), AdditiveTransform(), network) for i in range(couplings)]
        layers += [Scaling(size), *([ClassPrior(size, num_classes)] if num_classes else [])]
        super().__init__(Chain(layers, checkpoint_activations), num_classes)
