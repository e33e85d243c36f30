"""What all networks of normalizing flows share: labels become conditions, and the way back can be watched."""

__all__ = ["FlowNetwork"]

import abc

from torch import Tensor, nn

from lit_gen.nn.bijection import Bijection, Chain


class FlowNetwork(Bijection, abc.ABC):
    """A bijection of images [B, C, H, W] and latents [B, D], with D = C·H·W, under labels [B] if it is conditional.

    Arguments:
        layers: The bijections, whose condition is the labels' one-hot codes [B, K].
        num_classes: The number of classes K of a conditional network, None for an unconditional one.
    """

    def __init__(self, layers: Chain, num_classes: int | None) -> None:
        super().__init__()
        self.layers, self.num_classes = layers, num_classes

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps images to latents.

        Arguments:
            x: Images, shape [B, C, H, W].
            condition: Class labels, shape [B]; needed exactly when the network is conditional.

        Returns:
            Latents [B, D] and log |det ∂z/∂x|, shape [B].
        """
        return self.layers(x, self._code(x, condition))

    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers.inverse(z, self._code(z, condition))

    def states(self, z: Tensor, label: Tensor | None = None) -> list[Tensor]:
        """Returns what latents [B, D] become layer by layer, as vectors [B, D]; themselves first, images last."""
        return [state.flatten(1) for state in self.layers.states(z, self._code(z, label))]

    def _code(self, x: Tensor, label: Tensor | None) -> Tensor | None:
        assert (label is not None) == (self.num_classes is not None)
        if label is None or self.num_classes is None:
            return None
        return nn.functional.one_hot(label, self.num_classes).to(x.dtype)
