"""Scores together with the protocol they were computed by."""

__all__ = ["EvaluationResult"]

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lit_gen.metrics.protocol import EvaluationProtocol


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        metrics: The scores by plain name: ``fid``, ``kid_mean``, ``kid_std``, ``is_mean``, ``is_std``,
            ``precision``, ``recall``; beside a score, its standard error as ``<name>_std``.
        protocol: How they came about.
        seconds: What the time of this process went into: ``real`` (extractor and real images), ``generate``,
            ``features`` and ``metrics``.
    """

    metrics: Mapping[str, float]
    protocol: EvaluationProtocol
    seconds: Mapping[str, float]

    def named(self) -> dict[str, float]:
        """Returns the scores by the names that they are logged and shown by, such as ``fid[classifier]``."""
        return {f"{name}[{self.protocol.extractor}]": value for name, value in self.metrics.items()}

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain values."""
        seconds = {name: round(value, 3) for name, value in self.seconds.items()}
        return {"metrics": dict(self.metrics), "protocol": self.protocol.to_dict(), "seconds": seconds}

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
        rows += [
            ("generated", f"{protocol.num_samples} images, {protocol.weights} weights, seed {protocol.seed}"),
            ("real", f"{protocol.num_real} images of {protocol.data}, {protocol.split} split"),
            ("extractor", f"{protocol.extractor} {protocol.extractor_hash[:8]}{accuracy}"),
            ("protocol", protocol.hash[:8]),
        ]
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)
