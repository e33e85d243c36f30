"""Layers that change one part of their input as the other part says, and so are undone as easily as done."""

__all__ = ["Coupling", "Scaling"]

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lit_gen.nn.bijection import Bijection
from lit_gen.nn.coupling_transforms import CouplingTransform
from lit_gen.nn.partitions import Partition


class Coupling(Bijection):
    r"""Creates a coupling layer.

    .. math:: z_a = x_a, \qquad z_b = \tau(x_b; m(x_a))

    The Jacobian is triangular, so that its determinant is the product of τ's slopes, and m need not be invertible.

    References:
        | NICE: Non-linear Independent Components Estimation (Dinh, Krueger & Bengio, 2015), section 3.2
        | https://arxiv.org/abs/1410.8516

    Arguments:
        partition: Which part is kept.
        transform: τ, what is done to each number of the other.
        network: Makes m from the channels that go in and come out; it is called on x_a and the condition.
    """

    def __init__(
        self, partition: Partition, transform: CouplingTransform, network: Callable[[int, int], nn.Module]
    ) -> None:
        super().__init__()
        self.partition, self.transform = partition, transform
        self.network = network(partition.kept, transform.numbers * partition.moved)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self.partition.split(x)
        z, log_slope = self.transform(moved, self.network(kept, condition).to(x.dtype))
        return self.partition.merge(kept, z), self.partition.counted(log_slope).flatten(1).sum(dim=1)

    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        kept, moved = self.partition.split(z)
        return self.partition.merge(kept, self.transform.inverse(moved, self.network(kept, condition).to(z.dtype)))


class Scaling(Bijection):
    r"""Creates the layer :math:`z = x \exp(s)` with a factor for each number: the more it shrinks, the less it matters.

    References:
        | NICE: Non-linear Independent Components Estimation (Dinh, Krueger & Bengio, 2015), section 3.3
        | https://arxiv.org/abs/1410.8516

    Arguments:
        size: The numbers D of a vector.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps [B, D] to z of that shape and log-determinants [B]."""
        return x * self.log_scale.exp(), self.log_scale.sum().expand(len(x))

    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return z * (-self.log_scale).exp()
