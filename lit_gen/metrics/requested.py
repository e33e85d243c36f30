"""Which evaluator computes which of the metrics that are asked for."""

__all__ = ["split_names"]

from collections.abc import Sequence

from lit_gen.metrics.every_metric import METRICS
from lit_gen.metrics.image_evaluator import IMAGE_METRICS
from lit_gen.metrics.judges import JUDGES
from lit_gen.metrics.metric_names import metric_names


def split_names(metrics: Sequence[str] | str) -> tuple[list[str], list[str], list[str]]:
    """Returns the names of metrics for an `Evaluator`, of sets; an `ImageEvaluator`; and a `JudgeEvaluator`.

    Arguments:
        metrics: The names, or one string with commas.

    Raises:
        UserError: If one is unknown, or there is none.
    """
    names = metric_names(metrics, (*METRICS, *IMAGE_METRICS, *JUDGES))
    sets, images, judges = ([name for name in names if name in known] for known in (METRICS, IMAGE_METRICS, JUDGES))
    return sets, images, judges
