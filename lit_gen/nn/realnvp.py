"""RealNVP: affine couplings with checkerboard and channel masks, at several scales."""

__all__ = ["RealNVP"]

from functools import partial

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.act_norm import ActNorm
from lit_gen.nn.bijection import Bijection, Chain, Flatten
from lit_gen.nn.coupling import Coupling
from lit_gen.nn.coupling_networks import ResidualNetwork
from lit_gen.nn.coupling_transforms import AffineTransform
from lit_gen.nn.flow_network import FlowNetwork
from lit_gen.nn.flow_priors import Split
from lit_gen.nn.partitions import Checkerboard, Halves, Partition
from lit_gen.nn.squeeze import Squeeze, num_levels

_MOST_LEVELS = 3


class RealNVP(FlowNetwork):
    r"""Creates the network of RealNVP, for images of any number of channels.

    Each scale has three couplings with checkerboard masks, halves its maps, has three with channel masks, and lets go
    of half of the channels, as standard normal; the last has four with checkerboard masks. Networks double their
    features from scale to scale. Batch norm between couplings is `ActNorm` here, and within them there is none: an
    image's density does not depend on its batch. With classes, couplings know the label.

    Heights and widths must be multiples of 2^levels; with 0 levels any size will do.

    References:
        | Density Estimation Using Real NVP (Dinh, Sohl-Dickstein & Bengio, 2017), sections 3.4 to 4.1
        | https://arxiv.org/abs/1605.08803

    Arguments:
        image_shape: The images' channels, height and width.
        num_classes: The number of classes of a conditional network, None for an unconditional one.
        levels: How often maps are halved; None for as often as the size allows, at most 3 times. (The paper halves
            CIFAR-10 once, and larger images down to 4×4.)
        features: The hidden channels of the first scale's networks; the paper has 64 for CIFAR-10, else 32.
        blocks: Their residual blocks; the paper has 8 for CIFAR-10, else 4 or 2.
        checkpoint_activations: Whether activations are computed again in the backward pass, which saves memory.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        levels: int | None = None,
        features: int = 64,
        blocks: int = 8,
        checkpoint_activations: bool = False,
    ) -> None:
        if image_shape[1] * image_shape[2] < 2:
            raise UserError("RealNVP needs images of 2 pixels or more; for points there is DenseRealNVP")
        levels = num_levels("RealNVP", image_shape, levels, _MOST_LEVELS)

        def coupling(partition: Partition, features: int) -> list[Bijection]:
            network = partial(ResidualNetwork, context=num_classes or 0, features=features, blocks=blocks)
            channels = partition.kept + partition.moved if isinstance(partition, Halves) else partition.kept
            return [Coupling(partition, AffineTransform(partition.moved), network), ActNorm(channels)]

        def scale(shape: Shape, level: int, features: int) -> Chain:
            channels, height, width = shape
            layers: list[Bijection] = []
            for i in range(3 if level else 4):
                layers += coupling(Checkerboard(shape, i % 2 == 1), features)
            if not level:
                return Chain([*layers, Flatten(shape)], checkpoint_activations)
            layers.append(Squeeze())
            for i in range(3):
                layers += coupling(Halves(4 * channels, i % 2 == 1), 2 * features)
            rest = scale((2 * channels, height // 2, width // 2), level - 1, 2 * features)
            layers.append(Split((4 * channels, height // 2, width // 2), rest))
            return Chain(layers, checkpoint_activations)

        super().__init__(scale(image_shape, levels, features), num_classes)
