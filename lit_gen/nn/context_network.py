"""Causal networks that are given maps beside the image, of which every position may know everything."""

__all__ = ["ContextNetwork"]

import abc

from torch import Tensor

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.causal_network import CausalNetwork, Stepper


class ContextNetwork(CausalNetwork, abc.ABC):
    """A causal network whose numbers may also depend on all of a context, maps [B, context_features, H, W].

    Arguments:
        input_shape: The number of planes, the height and the width.
        num_outputs: The numbers for each pixel.
        groups: The groups G that a pixel is drawn in.
        context_features: The maps of the context; None if there is none, and the network is like any other.
    """

    def __init__(self, input_shape: Shape, num_outputs: int, groups: int, context_features: int | None) -> None:
        super().__init__(input_shape, num_outputs, groups)
        self.context_features = context_features

    @abc.abstractmethod
    def forward(self, x: Tensor, label: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """Maps planes [B, num_inputs, H, W], labels [B] and the context to numbers [B, num_outputs, H, W]."""

    @abc.abstractmethod
    def stepper(self, num: int, label: Tensor | None = None, context: Tensor | None = None) -> Stepper:
        """Returns what computes the same numbers position after position; the context is known from the start."""

    def check_context(self, context: Tensor | None) -> None:
        """Holds what is given to what the network was made for.

        Raises:
            UserError: If there is no context where there must be one.
        """
        if context is None and self.context_features is not None:
            raise UserError(
                f"{type(self).__name__}'s context_features are {self.context_features}, and there is no context: leave "
                "them out; a network that gives one sets them itself"
            )
        assert context is None or context.shape[1] == self.context_features
