"""What a judge counts, image by image, summed up over all images of all processes."""

__all__ = ["JudgedCounts"]

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lit_gen.functional.ratio_of_sums import mean_ratio_of_sums
from lit_gen.metrics.judges.judge import Counts
from lit_gen.metrics.metric import Metric
from lit_gen.metrics.rows import OrderedRows


class JudgedCounts(OrderedRows, Metric):
    """Creates a metric of scores that are ratios of sums over images, or means of such.

    Every image counts once, whatever batch and process it came in: the counts are gathered and put in the order of the
    images, so that the result is the same to the last bit.

    Arguments:
        scores: For every score the columns whose ratios it is the mean of.
        place: Where the counts are kept: one that the processes can gather from, so not the CPU under NCCL.
    """

    def __init__(self, scores: Mapping[str, Sequence[int]], place: torch.device | str = "cpu") -> None:
        super().__init__()
        self.scores, self.place = scores, place
        self.width = 1 + max(max(columns) for columns in scores.values())
        self.add_rows()
        # A process without images takes part in the gathering, too.
        nothing = torch.empty(0, self.width, dtype=torch.float64)
        self.update(Counts(nothing, nothing), torch.empty(0, dtype=torch.int64))

    def update(self, counts: Counts, index: Tensor) -> None:
        """Takes in the counts of N images, each [N, C], and the images' places in the split, [N]."""
        assert counts.numerator.shape == counts.denominator.shape == (len(index), self.width)
        self.append(torch.cat(counts, dim=1).to(self.place, torch.float64), index)

    def compute(self) -> dict[str, Tensor]:
        """Returns ``NAME_mean`` and ``NAME_std``, the standard error, each a scalar in float64.

        As for FID by class, what is of one part alone has no ``_mean``: ``PART/NAME`` and ``PART/NAME_std``. Scores of
        which there is nothing to count are left out.
        """
        numerator, denominator = self.ordered().cpu().chunk(2, dim=1)
        found: dict[str, Tensor] = {}
        for name, columns in self.scores.items():
            mean, error = mean_ratio_of_sums(numerator[:, list(columns)], denominator[:, list(columns)])
            if not mean.isnan():
                found |= {name if "/" in name else f"{name}_mean": mean, f"{name}_std": error}
        return found
