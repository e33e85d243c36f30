"""``lit-gen evaluate``: scores the samples of a checkpoint, or given ones, against real images."""

__all__ = ["run"]

import inspect
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from jsonargparse import ArgumentParser, Namespace
from pytorch_lightning import LightningDataModule
from torch import Tensor

from lit_gen.callbacks.classifier_guidance import ClassifierGuidance
from lit_gen.callbacks.sampling import draw
from lit_gen.callbacks.scorers import ImageScorer, JudgeScorer, Scorer
from lit_gen.commands.arguments import flag_values, flag_words
from lit_gen.commands.checkpointed import (
    checkpoint_parser,
    choose_device,
    instantiate,
    load_sampler,
    parse,
    read_wanted,
)
from lit_gen.commands.classes import import_all
from lit_gen.commands.drawing_options import add_drawing_options, drawing_flags, names_sampler, use_sampler
from lit_gen.commands.evaluate_given import score_given
from lit_gen.commands.output import check_output
from lit_gen.commands.recorded import trusted_config
from lit_gen.contracts import PointData
from lit_gen.errors import UserError
from lit_gen.functional.atomic import replacing
from lit_gen.metrics import EvaluationResult, Evaluator, ImageEvaluator, ImageResult, JudgeEvaluator
from lit_gen.metrics.every_metric import of_classes
from lit_gen.metrics.image_result import results_dict
from lit_gen.metrics.requested import split_names
from lit_gen.training.averaged_weights import chosen_weights
from lit_gen.training.loading import load_model

_CLASSIFIER = "lit_gen.metrics.extractors.Classifier"

E = TypeVar("E")


def run(arguments: Sequence[str]) -> int:
    """Runs the command: a table on the screen and, if asked for, JSON in a file.

    Raises:
        UserError: If an argument, or what it names, is wrong.
    """
    import_all()
    names_sampler(arguments)  # complains of a sampler's arguments without it
    parser, names, image_names = _parser()
    given = [value for _, value in flag_values(arguments, "--samples")]
    if given:
        return score_given(given[-1], arguments, parser, names)
    # The checkpoint's data are the parser's default, so it is read before the arguments are understood.
    path, runs = (next((v for _, v in flag_values(arguments, flag)[::-1]), None) for flag in ("--ckpt_path", "--runs"))
    checkpoint = read_wanted(path, runs or "runs")
    recorded = trusted_config(checkpoint, flag_words(arguments, "--trust"))
    if "data" in recorded:
        parser.set_defaults({"data": recorded["data"]})
    config = parse(parser, arguments)
    output = Path(config.output).expanduser() if config.output else None
    if output:
        check_output(output, folder=False)
    if config.data is None:
        raise UserError(f"'{checkpoint['path']}' does not say which data it was trained on; name them with --data")
    device = choose_device(config.device)
    sets, images, judges = split_names(config.metrics)
    guidance = None if config.classifier_guidance is None else ClassifierGuidance(config.classifier_guidance)
    if (flags := drawing_flags(config)) and not sets:
        raise UserError(f"{flags[0]} is for samples, which none of these metrics looks at: leave it out")
    made = instantiate(parser, config)
    evaluator = _chosen(Evaluator, made, names, sets)
    scorers: list[Scorer] = []
    if image_evaluator := _chosen(ImageEvaluator, made, image_names, images):
        scorers.append(ImageScorer(image_evaluator))
    if judge_evaluator := _chosen(JudgeEvaluator, made, inspect.signature(JudgeEvaluator).parameters, judges):
        scorers.append(JudgeScorer(judge_evaluator))
    data = made.data
    if isinstance(data, PointData):
        raise UserError(
            "points are no pictures, and have no such scores: 'lit-gen test' measures how they fit their world"
        )
    if hasattr(data, "check"):
        data.check()
    data.prepare_data()
    if evaluator:
        model = load_sampler(checkpoint, config.weights, config.trust, device)
        sampling = use_sampler(model, made.sampler, made.guidance)
    else:
        model = load_model(checkpoint, config.weights, config.trust).to(device)
    weights, _ = chosen_weights(checkpoint, config.weights)
    for scorer in scorers:  # first: whatever the model cannot do is said before anything is computed
        scorer.prepare(model, data, device)
    results: list[EvaluationResult | ImageResult] = []
    if evaluator:
        sampler: Any = model
        generated = weights
        if guidance:
            guidance.prepare(model, data, device)
            sampler, generated = guidance.of(model), guidance.named(weights)
        if (needy := of_classes(sets)) and getattr(sampler, "num_classes", None) != data.num_classes:
            raise UserError(
                f"the model of '{checkpoint['path']}' does not draw the classes of {data.name}: leave out {needy[0]}"
            )
        evaluator.prepare(data, device)

        @torch.no_grad()
        def batches(seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
            for index in evaluator.indices():
                label = evaluator.labels(index)
                on_device = None if label is None else label.to(device)
                yield index, draw(sampler, seed, index.tolist(), on_device), label

        result = evaluator.evaluate_seeds(batches, generated)
        results.append(replace(result, protocol=replace(result.protocol, sampling=sampling)))
    for scorer in scorers:
        results += scorer.score(model, device, weights)
    print("\n\n".join(result.table() for result in results))
    if output:
        with replacing(output) as temporary:
            temporary.write_text(json.dumps(results_dict(results), indent=2, allow_nan=False) + "\n", "utf-8")
    return 0


def _chosen(evaluator: type[E], made: Namespace, names: Iterable[str], metrics: Sequence[str]) -> E | None:
    """Returns an evaluator with the arguments that are its own, None if none of its metrics is asked for."""
    return evaluator(**{name: made[name] for name in names} | {"metrics": metrics}) if metrics else None


def _parser() -> tuple[ArgumentParser, list[str], list[str]]:
    """Returns the parser and the names of the arguments of either evaluator; some are of both."""
    parser = checkpoint_parser("Score a checkpoint's samples against real images, or what it makes of each of them.")
    parser.add_argument("--samples", type=str | None, help="a folder of images, .npz or .npy, in place of a checkpoint")
    parser.add_argument("--output", type=str | None, help="the JSON file to write")
    add_drawing_options(parser)
    parser.add_subclass_arguments(LightningDataModule, "data", required=False, fail_untyped=False)
    names = parser.add_class_arguments(Evaluator, None, as_group=False, fail_untyped=False)
    own = parser.add_class_arguments(ImageEvaluator, None, as_group=False, fail_untyped=False, skip=set(names))
    parser.set_defaults({"extractor": {"class_path": _CLASSIFIER}})
    return parser, names, [*own, *inspect.signature(ImageEvaluator).parameters.keys() & set(names)]
