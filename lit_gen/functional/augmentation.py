"""What is done to every image before a discriminator sees it, real or generated, without the generator learning it."""

__all__ = ["Augmentation"]

import abc
from collections.abc import Mapping

from torch import Tensor, nn


class Augmentation(nn.Module, abc.ABC):
    """A random change of images that gradients pass through; a module without parameters, its state in buffers.

    It acts on what the discriminator sees, in both players' losses and in penalties, while training only.
    """

    @abc.abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Returns images changed at random, one by one.

        Arguments:
            x: Images in [−1, 1], shape [B, C, H, W].
        """

    @abc.abstractmethod
    def observe(self, real_logits: Tensor) -> Mapping[str, Tensor]:
        """Learns how the discriminator judged a batch of real images; called once in each of its updates.

        Returns what is to be logged, scalars by name.

        Arguments:
            real_logits: The logits, shape [B], without gradient; under a relativistic loss less those of generated
                images, one each.
        """
