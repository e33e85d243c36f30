"""Scores together with the protocol they were computed by."""

__all__ = ["EvaluationResult"]

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from typing_extensions import Self

from lit_gen.metrics.protocol import EvaluationProtocol, is_of_model


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        metrics: The scores by plain name: ``fid``, ``kid_mean``, ``kid_std``, ``is_mean``, ``is_std``,
            ``precision``, ``recall``; beside a score, its standard error as ``<name>_std``. Over several seeds they are
            means, and ``_std`` is the standard deviation from seed to seed.
        protocol: How they came about.
        seconds: What the time of this process went into: ``real`` (extractor and real images), ``generate``,
            ``features`` and ``metrics``.
        by_seed: The scores of each seed, where there are several.
    """

    metrics: Mapping[str, float]
    protocol: EvaluationProtocol
    seconds: Mapping[str, float]
    by_seed: Mapping[int, Mapping[str, float]] | None = None

    @classmethod
    def over_seeds(cls, results: Sequence[Self]) -> Self:
        """Returns means and standard deviations of evaluations that differ in their seeds."""
        assert len(results) > 1, "one seed has no deviation"
        first = results[0]
        metrics: dict[str, float] = {}
        for name in first.metrics:
            if not name.endswith("_std"):
                values = [result.metrics[name] for result in results]
                metrics[name] = fmean(values)
                metrics[f"{name.removesuffix('_mean')}_std"] = stdev(values)
        # What is prepared once is counted once.
        seconds = {
            kind: value if kind == "real" else sum(result.seconds[kind] for result in results)
            for kind, value in first.seconds.items()
        }
        by_seed = {result.protocol.seed: result.metrics for result in results}
        return cls(metrics, replace(first.protocol, repeats=len(results)), seconds, by_seed)

    def named(self) -> dict[str, float]:
        """Returns the scores by the names that they are logged and shown by, such as ``fid[classifier]``."""
        return {f"{name}[{self.protocol.extractor}]": value for name, value in self.metrics.items()}

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain values."""
        seconds = {name: round(value, 3) for name, value in self.seconds.items()}
        result = {"metrics": dict(self.metrics), "protocol": self.protocol.to_dict(), "seconds": seconds}
        if self.by_seed is not None:
            result["by_seed"] = {str(seed): dict(scores) for seed, scores in self.by_seed.items()}
        return result

    def to_json(self) -> str:
        """Returns everything as JSON, indented; the names are those of the attributes."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def table(self) -> str:
        """Returns a plain table for a terminal: the scores, and the lines of the protocol that a reader needs."""
        protocol = self.protocol
        rows = []
        for name, value in self.metrics.items():
            metric = name.removesuffix("_mean")
            if name.endswith("_std"):
                continue  # shown beside its mean
            spread = self.metrics.get(f"{metric}_std")
            text = f"{value:.5g}" if spread is None else f"{value:.5g} ± {spread:.2g}"
            rows.append((f"{metric}[{protocol.extractor}]", text))
        known = protocol.extractor_accuracy
        accuracy = f", accuracy {100 * known:.1f} %" if known is not None else ""
        last = protocol.seed + protocol.repeats - 1
        seeds = (
            f"seed {protocol.seed}" if protocol.repeats == 1 else f"mean ± deviation of seeds {protocol.seed} to {last}"
        )
        # What is said of images that no model drew here, given or real ones, names no weights.
        name, comma, how = protocol.weights.partition(",")
        of = f"{name} weights{comma}{how}" if is_of_model(name) else protocol.weights
        classes = ", balanced classes" if protocol.labels == "balanced" else ""
        rows += [
            ("generated", f"{protocol.num_samples} images, {of}{classes}, {seeds}"),
            *([("sampled by", protocol.sampling)] if protocol.sampling else []),
            ("real", f"{protocol.num_real} images of {protocol.data}, {protocol.split} split"),
            ("extractor", f"{protocol.extractor} {protocol.extractor_hash[:8]}{accuracy}"),
            ("protocol", protocol.hash[:8]),
        ]
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)
