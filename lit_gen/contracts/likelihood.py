"""What models promise that say how probable an image is."""

__all__ = [
    "SupportsInfluence",
    "SupportsLogProb",
]

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from lit_gen.contracts.batch import Generators, Shape


@runtime_checkable
class SupportsLogProb(Protocol):
    r"""A model with a likelihood, exact or bounded from below.

    `log_prob` is a log-*probability*, never a density: of the 8-bit image that the data hold, one of 256^D, with
    everything between that image and the model's density included. A density q of y = (x + u) / 128 − 1, say, with
    8-bit values x and noise u uniform in [0, 1)^D, gives the bound

    .. math:: \log P(x) \ge \mathbb{E}_u[\log q(y)] - D \log 128

    whose last term is the Jacobian of the scaling; further preprocessing (logits, say) adds its own. So −`log_prob` /
    (D ln 2) is bits per dimension for every family, never below 0, and 8 for a model that knows nothing.

    A model whose `log_prob` is of something else, or a bound that has a setting, says so in an attribute
    ``log_prob_of``, a few words that stand in the protocol: ``"binarised images, IWAE bound of 5000 samples"``. Without
    it they are ``"8-bit images"``.
    """

    def log_prob(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns log P, or a bound that may be random, in nats per image, shape [B].

        Arguments:
            image: Images in [−1, 1] as the data module gives them, x / 127.5 − 1 for 8-bit values x; [B, C, H, W].
            label: Their class labels, shape [B], for conditional models: those whose `num_classes` is not None.
            generator: The source of randomness, if there is any; see `SupportsSample.sample`.
        """


@runtime_checkable
class SupportsInfluence(Protocol):
    """A model that draws pixel after pixel, and can be asked what a pixel depends on."""

    image_shape: Shape

    @property
    def pixel_order(self) -> Sequence[tuple[int, int]]:
        """The pixels (row, column) in the order in which they are drawn."""

    def influence(self, image: Tensor, row: int, column: int, label: Tensor | None = None) -> Tensor:
        """Returns how much a pixel's distribution depends on each pixel, [H, W], exactly 0 where not at all.

        Arguments:
            image: Images in [−1, 1], [B, C, H, W], over which it is averaged.
            row: The pixel's row.
            column: Its column.
            label: Class labels, shape [B], for conditional models.
        """
