"""What a model makes of the images of a split, for the scores of single images."""

__all__ = ["image_misfit", "noise_of", "paired_task", "prepare_images", "score_images"]

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from lit_gen.contracts import (
    Batch,
    Generators,
    ImageData,
    SupportsLogProb,
    SupportsPairs,
    SupportsReconstruct,
    SupportsTranslate,
)
from lit_gen.errors import UserError
from lit_gen.functional.quantize import to_uint8
from lit_gen.metrics.image_evaluator import Answer, ImageEvaluator
from lit_gen.metrics.image_result import ImageResult
from lit_gen.metrics.split_share import on_device
from lit_gen.training.seeding import derive_seed, generators

Task = Literal["translation", "reconstruction"]


def image_misfit(evaluator: ImageEvaluator, model: Any, data: ImageData) -> str | None:
    """Says why a model or its data have nothing to score by an evaluator's metrics; None if they have."""
    if data.num_images(evaluator.split) < 2:  # of one, nobody knows how far others would lie from it
        return (
            f"the data have {'fewer than two' if data.num_images(evaluator.split) else 'no'} {evaluator.split} images"
        )
    name = type(model).__name__
    if evaluator.weighs and not isinstance(model, SupportsLogProb):
        return f"{name} has no likelihood (log_prob), which {', '.join(evaluator.weighs)} would be of"
    if not evaluator.compares or paired_task(evaluator, model, data):
        return None
    metrics = ", ".join(evaluator.compares)
    if isinstance(model, SupportsTranslate):
        return f"the data are no pairs, so that {metrics} could not compare translations of {name} with anything"
    return f"{name} neither translates nor reconstructs, which {metrics} would compare"


def paired_task(evaluator: ImageEvaluator, model: Any, data: ImageData) -> Task | None:
    """Returns what the pairs are: translations where the data are pairs, else reconstructions, or None of both."""
    if isinstance(model, SupportsTranslate) and isinstance(data, SupportsPairs) and data.paired:
        return "translation"
    return "reconstruction" if isinstance(model, SupportsReconstruct) else None


def prepare_images(evaluator: ImageEvaluator, model: Any, data: ImageData, device: torch.device) -> None:
    """Prepares an evaluator for what a model can do, before anything is computed in vain.

    Raises:
        UserError: If the model cannot do what the metrics need, or metrics and data do not fit.
    """
    reason = image_misfit(evaluator, model, data)
    if reason:
        raise UserError(f"{reason}; leave out what it lacks")
    task = paired_task(evaluator, model, data) if evaluator.compares else None
    evaluator.prepare(data, device, task or "reconstruction", _log_prob_of(model))


def score_images(evaluator: ImageEvaluator, model: Any, device: torch.device, weights: str) -> list[ImageResult]:
    """Scores what a model makes of this process's share of a split.

    Image i of a seed gets the same noise at any batch size and on any number of processes.

    Arguments:
        evaluator: The evaluator, prepared for this model by `prepare_images`.
        model: The model, within `inference`, on the device.
        device: Where the model is.
        weights: Which of its weights it has, for the protocol: ``"ema"``, ``"ema:5000"`` or ``"raw"``.

    Raises:
        UserError: If what the model returns cannot be scored.
    """
    return evaluator.evaluate(_answers(evaluator, model, device), weights)


def _answers(evaluator: ImageEvaluator, model: Any, device: torch.device) -> Iterator[Answer]:
    with torch.no_grad():
        for place, stored in evaluator.batches():
            output = target = log_prob = None
            batch = on_device(stored, device)
            if evaluator.compares:
                output, target = _pair(evaluator, model, batch, place)
            if evaluator.weighs:
                log_prob = _log_prob(evaluator, model, batch, place)
            yield Answer(place, output, target, log_prob)


def _pair(evaluator: ImageEvaluator, model: Any, batch: dict[str, Tensor], place: Tensor) -> tuple[Tensor, Tensor]:
    noise = noise_of(evaluator.seed, place)
    if evaluator.task == "translation":
        # The wanted image is kept from the model.
        made = model.translate({name: value for name, value in batch.items() if name != "image"}, noise)
    else:
        made = model.reconstruct(batch["image"], _label(model, batch), noise)
    try:
        return to_uint8(made), to_uint8(batch["image"])
    except ValueError as error:
        raise UserError(
            f"the model's {evaluator.task}s hold NaN: training has diverged; go on from the last good checkpoint with "
            "a smaller learning rate"
        ) from error


def _log_prob(evaluator: ImageEvaluator, model: Any, batch: Batch, place: Tensor) -> Tensor:
    """Returns the log-probability of each image, averaged over draws, float64 [N]."""
    image, label = batch["image"], _label(model, batch)
    total = torch.zeros(len(image), dtype=torch.float64)
    for draw in range(evaluator.num_draws):
        log_prob = model.log_prob(image, label, noise_of(derive_seed(evaluator.seed, "draw", draw), place))
        if log_prob.shape != total.shape:
            raise UserError(
                f"log_prob of {type(model).__name__} gave {tuple(log_prob.shape)} numbers for {len(image)} images: it "
                "must give one per image, the sum over its pixels"
            )
        total += log_prob.cpu().double()
    return total / evaluator.num_draws


def noise_of(seed: int, place: Tensor) -> Generators:
    """Returns the source of randomness of each image of a batch by the images' places in the split, int64 [N]."""
    places = place.tolist()
    # Networks with noise of their own (dropout at test, say) draw it from the global generator.
    torch.manual_seed(derive_seed(seed, "batch", *places[:1]))
    return generators(seed, places)


def _label(model: Any, batch: Batch) -> Tensor | None:
    return batch.get("label") if getattr(model, "num_classes", None) is not None else None


def _log_prob_of(model: Any) -> str:
    """Returns what a model's log-probabilities are of, in the model's words if it has some."""
    words = str(getattr(model, "log_prob_of", "8-bit images"))
    return words if getattr(model, "num_classes", None) is None else f"{words}, given their class"
