"""The scores of one checkpoint, or of one set of images, as a JSON file keeps them."""

__all__ = ["Score", "read_scores"]

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_gen.errors import UserError, first_line
from lit_gen.metrics.cache import content_hash


@dataclass(frozen=True)
class Score:
    """What was measured, of what, and how.

    Attributes:
        run: The name of the run.
        metrics: The scores by plain name: ``fid``, ``kid_mean``, ``kid_std``, ….
        protocol: How they came about, as JSON has it; empty in a file that does not say.
        step: The training step, None where it is not known.
        images_seen: The training images until then, None where it is not known.
        source: The file.
        samples: The hash of the images, where they were given rather than drawn.
    """

    run: str
    metrics: Mapping[str, float]
    protocol: Mapping[str, Any]
    step: int | None = None
    images_seen: int | None = None
    source: str = ""
    samples: str | None = None

    @property
    def sampling(self) -> str:
        """How a diffusion model was sampled, if not as its run says."""
        return str(self.protocol.get("sampling") or "")

    @property
    def weights(self) -> str:
        """What drew the images, such as ``ema``."""
        return str(self.protocol.get("weights", ""))


def read_scores(path: Path, run: str, images_seen: Mapping[int, int] | None = None) -> tuple[Score, ...]:
    """Reads a file of `lit-gen evaluate --output`, of the callback `Evaluation`, or of a script like them.

    There is one score per protocol: those of samples, and ``more`` of single images. Fields that are not known are
    kept, those that lack stay away: what may be compared is found later.

    Arguments:
        path: The file.
        run: The name of the run.
        images_seen: The training images by step.

    Raises:
        UserError: If it is no such file, or not as it was written.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON ({first_line(error)})") from error
    more = content.get("more", []) if isinstance(content, dict) else []
    results = [content, *(more if isinstance(more, list) else [more])]
    if not all(isinstance(result, dict) and isinstance(result.get("metrics"), dict) for result in results):
        raise UserError(f"{path} holds no scores: it has no 'metrics'; give what 'lit-gen evaluate --output' wrote")
    for result in results:
        _check(path, result["metrics"], result.get("protocol"))
    samples, step = content.get("samples"), content.get("step", content.get("steps"))
    step = step if isinstance(step, int) else None
    return tuple(
        Score(
            run,
            {name: float(value) for name, value in result["metrics"].items()},
            protocol if isinstance(protocol := result.get("protocol"), dict) else {},
            step,
            None if step is None else (images_seen or {}).get(step),
            str(path),
            str(samples["sha256"]) if isinstance(samples, dict) and "sha256" in samples else None,
        )
        for result in results
    )


def _check(path: Path, metrics: Mapping[str, Any], protocol: Any) -> None:
    """Raises a `UserError` if a score is no number, or a protocol is not the one that was hashed."""
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{path} says that {name} is {value!r}, but it must be a number")
    if not isinstance(protocol, dict) or "hash" not in protocol:
        return
    if content_hash({name: value for name, value in protocol.items() if name != "hash"}) != protocol["hash"]:
        raise UserError(f"{path} was changed: its protocol's hash is not that of its fields; evaluate anew")
