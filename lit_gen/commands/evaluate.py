"""``lit-gen evaluate``: scores the samples of a checkpoint against real images."""

__all__ = ["run"]

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jsonargparse import ArgumentParser
from pytorch_lightning import LightningDataModule
from torch import Tensor

from lit_gen.callbacks.sampling import draw
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
from lit_gen.commands.output import check_output
from lit_gen.commands.recorded import trusted_config
from lit_gen.contracts import PointData
from lit_gen.errors import UserError
from lit_gen.functional.atomic import replacing
from lit_gen.metrics import Evaluator
from lit_gen.training.loading import averaged_state

_CLASSIFIER = "lit_gen.metrics.extractors.Classifier"


def run(arguments: Sequence[str]) -> int:
    """Runs the command: a table on the screen and, if asked for, JSON in a file.

    Raises:
        UserError: If an argument, or what it names, is wrong.
    """
    import_all()
    parser, names = _parser()
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
    made = instantiate(parser, config)
    evaluator = Evaluator(**{name: made[name] for name in names})
    data = made.data
    if isinstance(data, PointData):
        raise UserError(
            "points are no pictures, and have no such scores: 'lit-gen test' measures how they fit their world"
        )
    if hasattr(data, "check"):
        data.check()
    data.prepare_data()
    model = load_sampler(checkpoint, config.weights, config.trust, device)
    evaluator.prepare(data, device)

    @torch.no_grad()
    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for index in evaluator.indices():
            yield index, draw(model, config.seed, index.tolist())  # type: ignore[arg-type]

    weights = "ema" if config.weights == "ema" and averaged_state(checkpoint) else "raw"
    result = evaluator.evaluate(batches(), weights)
    print(result.table())
    if output:
        with replacing(output) as temporary:
            temporary.write_text(result.to_json(), "utf-8")
    return 0


def _parser() -> tuple[ArgumentParser, list[str]]:
    """Returns the parser and the names of the evaluator's own arguments."""
    parser = checkpoint_parser("Score a checkpoint's samples against real images.")
    parser.add_argument("--output", type=str | None, help="the JSON file to write")
    parser.add_subclass_arguments(LightningDataModule, "data", required=False, fail_untyped=False)
    names = parser.add_class_arguments(Evaluator, None, as_group=False, fail_untyped=False)
    parser.set_defaults({"extractor": {"class_path": _CLASSIFIER}})
    return parser, names
