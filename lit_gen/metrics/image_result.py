"""Scores of single images, averaged, together with the protocol they were computed by."""

__all__ = ["ImageResult", "results_dict"]

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lit_gen.metrics.image_protocol import ImageProtocol
from lit_gen.metrics.result import EvaluationResult


@dataclass(frozen=True)
class ImageResult:
    """What an evaluation of single images found; it reads like an `EvaluationResult`.

    Attributes:
        metrics: For every metric the mean over images and its standard error: ``psnr_mean``, ``psnr_std``.
        protocol: How they came about.
        seconds: What the time of this process went into: ``prepare``, ``model`` and ``metrics``.
        real: What real images score, where that is the most that can be hoped for, by the names of `metrics`.
    """

    metrics: Mapping[str, float]
    protocol: ImageProtocol
    seconds: Mapping[str, float]
    real: Mapping[str, float] = field(default_factory=dict)

    def named(self) -> dict[str, float]:
        """Returns the scores by the names that they are logged and shown by: ``psnr_mean[reconstruction]``."""
        return {f"{name}[{self.protocol.task}]": value for name, value in self.metrics.items()}

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain values."""
        seconds = {name: round(value, 3) for name, value in self.seconds.items()}
        result = {"metrics": dict(self.metrics), "protocol": self.protocol.to_dict(), "seconds": seconds}
        return {**result, "real": dict(self.real)} if self.real else result

    def to_json(self) -> str:
        """Returns everything as JSON, indented; the names are those of the attributes."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def table(self) -> str:
        """Returns a plain table for a terminal: the means with their standard errors, and what a reader must know."""
        protocol = self.protocol
        rows = []
        for name, value in self.metrics.items():
            if name.endswith("_std"):
                continue
            plain = name.removesuffix("_mean")
            real = f", real images {self.real[name]:.5g}" if name in self.real else ""
            rows.append((f"{plain}[{protocol.task}]", f"{value:.5g} ± {self.metrics[f'{plain}_std']:.2g}{real}"))
        asked = [name for name in protocol.settings if len(protocol.settings) == 1 or f"{name}_mean" in self.metrics]
        rows += [
            ("scored", f"{protocol.compared}, {protocol.weights} weights, seed {protocol.seed}"),
            ("real", f"{protocol.num_images} images of {protocol.data}, {protocol.split} split"),
            ("settings", "; ".join(f"{name}: {_listed(protocol.settings[name])}" for name in asked)),
            ("protocol", protocol.hash[:8]),
        ]
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)


def _listed(settings: Mapping[str, Any]) -> str:
    shown = {
        name: value[:8] if name == "sha256" else " ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in settings.items()
    }
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def results_dict(results: Sequence[EvaluationResult | ImageResult]) -> dict[str, Any]:
    """Returns results of one model as plain values: the first as it is alone, the others, each whole, in ``more``."""
    first, *more = (result.to_dict() for result in results)
    return {**first, "more": more} if more else first
