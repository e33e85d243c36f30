"""What images were made from, of data that know it."""

__all__ = ["factor_values"]

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_gen.contracts import ImageData, SupportsFactors
from lit_gen.errors import UserError


def factor_values(data: ImageData, split: str) -> tuple[Sequence[str], Tensor]:
    """Returns the names of the factors of variation, F, and their values for all images of a split, int64 [N, F].

    They are the data's factors, or else its attributes, those that exclude each other as one. A factor with one value
    in the whole split tells nothing, and is left out.

    Raises:
        UserError: If fewer than two are known: then there is nothing to be disentangled.
    """
    names, values = (
        (list(data.factor_names), data.factor_values(split))
        if isinstance(data, SupportsFactors)
        else _from_attributes(data, split)
    )
    varied = [i for i in range(len(names)) if len(values[:, i].unique()) > 1]
    if len(varied) < 2:
        raise UserError(
            f"the images of {data.name} have {len(varied) or 'no'} known factor{'' if len(varied) == 1 else 's'} that "
            "vary: disentanglement needs data with two or more, such as Sprites, or AttributeImages with a table"
        )
    return [names[i] for i in varied], values[:, varied]


def _from_attributes(data: Any, split: str) -> tuple[list[str], Tensor]:
    groups, known = getattr(data, "attribute_groups", None), getattr(data, "attribute_names", None)
    if not groups or not known:
        return [], torch.empty(data.num_images(split), 0, dtype=torch.int64)
    attributes = torch.cat([batch["attributes"].cpu() for batch in data.batches(split, 512)])
    # Of a group exactly one is there; a single one is there or not.
    columns = [attributes[:, list(g)].argmax(dim=1) if len(g) > 1 else attributes[:, g[0]].long() for g in groups]
    names = [known[group[0]].split("=")[0] for group in groups]
    return names, torch.stack(columns, dim=1)
