"""What models that turn images into images share: their shapes, sources, predictions."""

__all__ = ["TranslationModule"]

import abc

from torch import Tensor

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.training.adversarial import AdversarialModule
from lit_gen.training.options import TrainingOptions


class TranslationModule(AdversarialModule, abc.ABC):
    """Creates the part of an adversarial model from ``source`` to ``image`` that does not depend on the method.

    Arguments:
        image_shape: The images' channels, height and width.
        source_shape: The sources' channels, height and width; None for the images'.
        options: Accumulation, clipping, compilation, memory format.
    """

    def __init__(self, image_shape: Shape, source_shape: Shape | None, options: TrainingOptions) -> None:
        super().__init__(options)
        source_shape = image_shape if source_shape is None else source_shape
        self.image_shape: Shape = (image_shape[0], image_shape[1], image_shape[2])
        self.source_shape: Shape = (source_shape[0], source_shape[1], source_shape[2])
        if self.image_shape[1:] != self.source_shape[1:]:
            (_, height, width), (_, wanted_height, wanted_width) = self.source_shape, self.image_shape
            raise UserError(
                f"sources have {height}×{width} pixels and images {wanted_height}×{wanted_width}: both must have the "
                "same height and width"
            )

    @abc.abstractmethod
    def translate(self, batch: Batch, generator: Generators | None = None) -> Tensor:
        """Maps a batch's sources [B, Cs, H, W], of any size, to images in [−1, 1], shape [B, C, H, W].

        Arguments:
            batch: The sources, ``source`` of it.
            generator: The source of randomness of methods that draw; see `lit_gen.contracts.SupportsTranslate`.
        """

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns the batch's translation, images in [−1, 1]."""
        return self.translate(batch)

    def pair(self, batch: Batch) -> list[Tensor]:
        """Takes a batch's sources [B, Cs, H, W] and images [B, C, H, W]."""
        return self.require(batch, "source", "image")
