"""Rows gathered from all processes and put in the order of their index."""

__all__ = ["FeatureRows", "LabelRows", "OrderedRows"]

from typing import Any

import torch
from torch import Tensor

from lit_gen.metrics.distributed import gathered
from lit_gen.metrics.features import Features
from lit_gen.metrics.metric import Metric


class OrderedRows:
    """Rows with their index, as states of the `Metric` that this is mixed into.

    Rows are held as they come, without a copy: several metrics that keep the same features share their memory. A
    process that has no rows at all adds zero rows, for a gather needs to know their width.
    """

    rows: list[Tensor]
    index: list[Tensor]

    def add_rows(self: Any) -> None:
        """Registers the states."""
        self.add_state("rows")
        self.add_state("index")

    def append(self, rows: Tensor, index: Tensor | None) -> None:
        """Adds rows of shape [N, D] with their index of shape [N], or with the next N numbers as their index."""
        if index is None:
            start = sum(len(seen) for seen in self.index)
            index = torch.arange(start, start + len(rows))
        assert index.shape == rows.shape[:1], "there is one index per row"
        self.rows.append(rows.detach())
        self.index.append(index.to(rows.device, torch.int64))

    def ordered(self) -> Tensor:
        """Returns all rows of all processes in the order of their index, shape [N, D].

        Raises:
            ValueError: If an index occurs twice: padded samplers and processes that do not say which images are theirs
                would otherwise count images twice.
        """
        parts = gathered(self.rows)
        index, order = torch.cat(gathered(self.index)).sort()
        if (index[1:] == index[:-1]).any():
            raise ValueError("an index occurs twice: every process must say which of all the images its own are")
        place = order.argsort()
        if len(parts) == 1 and (place.diff() == 1).all():  # nothing moves
            return parts[0]
        # Each part straight to its place: one copy of the rows, where putting them together first would be two.
        rows = parts[0].new_empty(len(place), parts[0].shape[1])
        for part, to in zip(parts, place.split([len(part) for part in parts]), strict=True):
            rows[to] = part
        return rows


class FeatureRows(OrderedRows, Metric):
    """Creates a metric that keeps every feature."""

    def __init__(self) -> None:
        super().__init__()
        self.add_rows()

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N images, whose features are of shape [N, D] and whose index is of shape [N]."""
        self.append(features.features, index)

    def compute(self) -> Tensor:
        """Returns the features of all images on all processes in the order of their index, shape [N, D]."""
        return self.ordered()


class LabelRows(OrderedRows, Metric):
    """Creates a metric that keeps every image's class."""

    def __init__(self) -> None:
        super().__init__()
        self.add_rows()

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N images, whose classes and index are of shape [N]."""
        assert features.label is not None, "the images are labelled"
        self.append(features.label[:, None], index)

    def compute(self) -> Tensor:
        """Returns the classes of all images on all processes in the order of their index, int64, shape [N]."""
        return self.ordered()[:, 0]
