"""What models that give images other attributes share: the attributes' groups, and which are wanted."""

__all__ = ["AttributeTranslationModule"]

import abc
from collections.abc import Sequence

from torch import Tensor

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.permutation import permutation
from lit_gen.training.options import TrainingOptions
from lit_gen.training.translation import TranslationModule


class AttributeTranslationModule(TranslationModule, abc.ABC):
    """Creates the part of a model that gives an ``image`` ``wanted`` attributes that does not depend on the method.

    Arguments:
        image_shape: The images' channels, height and width.
        attribute_names: The attributes' names.
        attribute_groups: Places in these: one for what is there or not, several where exactly one of them is there.
        options: Accumulation, clipping, compilation, memory format.
    """

    def __init__(
        self,
        image_shape: Shape,
        attribute_names: Sequence[str] | None,
        attribute_groups: Sequence[Sequence[int]] | None,
        options: TrainingOptions,
    ) -> None:
        super().__init__(image_shape, None, options)
        if not attribute_names or not attribute_groups:
            raise UserError(
                f"{type(self).__name__} needs attributes, which these data do not have: take AttributeImages, or "
                "Sprites with --data.kind attributes"
            )
        self.attribute_names = tuple(attribute_names)
        self.attribute_groups = tuple(tuple(group) for group in attribute_groups)

    @property
    @abc.abstractmethod
    def changeable(self) -> Sequence[int]:
        """The places of the attributes that the model can change."""

    def group_of(self, column: str | None) -> tuple[int, ...]:
        """Returns the places of a column's attributes, or those of the only one for None.

        Raises:
            UserError: If there is no such column, or None is given for several.
        """
        columns = {self.attribute_names[group[0]].partition("=")[0]: group for group in self.attribute_groups}
        if column is None and len(columns) == 1:
            (column,) = columns
        if column is None or column not in columns:
            raise UserError(f"model.domain is {column}; it must be one of the data's columns: {', '.join(columns)}")
        return columns[column]

    def wanted(self, batch: Batch, generator: Generators | None = None) -> Tensor:
        """Returns a batch's ``wanted`` attributes [B, A]; where it has none, a permutation of its ``attributes``.

        Arguments:
            batch: The batch.
            generator: The source of the permutation, or one per image.

        Raises:
            UserError: If their number is not the model's.
        """
        if "wanted" in batch:
            wanted = batch["wanted"].to(self.device)
        else:
            (own,) = self.require(batch, "attributes")
            wanted = own[permutation(len(own), generator, own.device)].to(self.device)
        if wanted.ndim != 2 or wanted.shape[1] != len(self.attribute_names):
            raise UserError(
                f"wanted attributes have shape {list(wanted.shape)}; the model needs {len(self.attribute_names)} per "
                f"image: {', '.join(self.attribute_names)}"
            )
        return wanted
