r"""Maps that can be undone, of which normalizing flows are made.

A bijection f carries the density of z = f(x) over to x; a chain of them multiplies their Jacobians:

.. math:: \log p(x) = \log p_Z(f(x)) + \log |\det \partial f / \partial x|
"""

__all__ = ["Bijection", "Chain", "Flatten"]

import abc
import math
from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Bijection(nn.Module, abc.ABC):
    """An invertible layer.

    What flows through it keeps its precision: under autocast only the networks within couplings compute in half, and
    log-determinants are float32 (float64 of float64).
    """

    @abc.abstractmethod
    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps data towards latents.

        Arguments:
            x: Shape [B, …].
            condition: What the map may depend on beside x: [B, K], or maps [B, K, H, W].

        Returns:
            z, as many numbers as x, shape [B, …], and log |det ∂z/∂x|, shape [B].
        """

    @abc.abstractmethod
    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Undoes `forward`: maps z [B, …] to x [B, …] under the same condition."""


class Chain(Bijection):
    """Creates bijections one after the other.

    Arguments:
        layers: The bijections, the one next to the data first.
        checkpoint_activations: Whether the backward pass computes each layer again rather than keep what it needs from
            the forward pass: memory for the states between the layers only, for about a third more time.
    """

    def __init__(self, layers: Iterable[Bijection], checkpoint_activations: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.checkpoint_activations = checkpoint_activations

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_det = x.new_zeros(len(x))
        for layer in self.layers:
            if self.checkpoint_activations and self.training:
                # Layers draw no random numbers, so that there is no generator's state to keep.
                x, part = checkpoint(layer, x, condition, use_reentrant=False, preserve_rng_state=False)  # type: ignore[misc]
            else:
                x, part = layer(x, condition)
            log_det = log_det + part
        return x, log_det

    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        for state in self.states(z, condition):
            z = state
        return z

    def states(self, z: Tensor, condition: Tensor | None = None) -> Iterator[Tensor]:
        """Yields what is between the layers on the way from latents z to data: z first, data last."""
        yield z
        for layer in reversed(self.layers):
            z = layer.inverse(z, condition)  # type: ignore[operator]
            yield z


class Flatten(Bijection):
    """Creates the map of [B, …] to [B, D].

    Arguments:
        shape: The shape that comes in, without the batch.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        assert x.shape[1:] == self.shape
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        assert z.shape[1:] == (math.prod(self.shape),)
        return z.view(-1, *self.shape)
