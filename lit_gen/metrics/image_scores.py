"""A score per image, summed up over all images of all processes."""

__all__ = ["ImageScores"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics.distributed import gathered
from lit_gen.metrics.metric import Metric
from lit_gen.metrics.rows import OrderedRows


class ImageScores(OrderedRows, Metric):
    """Creates a metric that averages scores over images.

    Every image counts once, whatever batch and process it came in: the scores are gathered, put in the order of the
    images and averaged in float64, so that the result is the same to the last bit. A mean of batch means would weigh
    the images of a smaller last batch more.

    Arguments:
        names: The names of the scores.
        place: Where the scores are kept: one that the processes can gather from, so not the CPU under NCCL.
    """

    def __init__(self, names: Sequence[str], place: torch.device | str = "cpu") -> None:
        super().__init__()
        self.names, self.place = tuple(names), place
        self.add_rows()
        # A process without images takes part in the gathering, too.
        self.update(torch.empty(0, len(self.names), dtype=torch.float64), torch.empty(0, dtype=torch.int64))

    def update(self, scores: Tensor, index: Tensor) -> None:
        """Takes in the scores of N images, shape [N, number of scores], and the images' places in the split, [N]."""
        assert scores.shape == (len(index), len(self.names)), "there is one score per image and name"
        self.append(scores.to(self.place, torch.float64), index)

    def compute(self) -> dict[str, Tensor]:
        """Returns, for every name, ``<name>_mean`` and ``<name>_std``, each a scalar in float64.

        The second is the standard error of the first: the deviation over images (with N − 1), divided by √N.

        Raises:
            UserError: If an image's score is NaN or infinite; on every process.
        """
        rows, index = self.ordered().cpu(), torch.cat(gathered(self.index)).sort().values
        num = len(rows)
        for image, name in (~rows.isfinite()).nonzero().tolist()[:1]:
            raise UserError(
                f"the {self.names[name]} of image {int(index[image])} is {float(rows[image, name])}: what the model "
                "gives for it is not finite, and there is no mean"
            )
        assert num >= 2, "a deviation needs at least 2 images"
        mean, error = rows.mean(dim=0), rows.std(dim=0) / math.sqrt(num)
        scores: dict[str, Tensor] = {}
        for place, name in enumerate(self.names):
            scores[f"{name}_mean"], scores[f"{name}_std"] = mean[place], error[place]
        return scores
