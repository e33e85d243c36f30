"""``lit-gen evaluate --samples``: scores images that are there already, by the same evaluator and protocol."""

__all__ = ["GIVEN", "score_given"]

import json
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from lit_gen.commands.arguments import flag_values
from lit_gen.commands.checkpointed import choose_device, instantiate, parse
from lit_gen.commands.drawing_options import drawing_flags
from lit_gen.commands.given_images import open_given
from lit_gen.commands.output import check_output
from lit_gen.contracts import PointData
from lit_gen.errors import UserError
from lit_gen.functional.atomic import replacing
from lit_gen.metrics import Evaluator
from lit_gen.metrics.every_metric import of_classes
from lit_gen.metrics.requested import split_names

GIVEN = "given samples"
"""What a protocol's ``weights`` say of images that no model drew here."""


def score_given(source: str, arguments: Sequence[str], parser: ArgumentParser, names: Sequence[str]) -> int:
    """Runs the command; what was scored stands beside the protocol, with the hash of the images.

    Arguments:
        source: A folder of images, ``.npz`` or ``.npy``.
        arguments: Those of the command.
        parser: Its parser.
        names: The arguments that are the evaluator's.

    Raises:
        UserError: If an argument, or what it names, is wrong.
    """
    if flag_values(arguments, "--ckpt_path"):
        raise UserError("--samples and --ckpt_path are both given: score the samples, or the checkpoint")
    given = open_given(source)
    parser.set_defaults({"num_samples": len(given)})
    config = parse(parser, arguments)
    output = Path(config.output).expanduser() if config.output else None
    if output:
        check_output(output, folder=False)
    if config.data is None:
        raise UserError("--data is missing: name the data to compare the samples with, as in --data Digits")
    if config.get("repeats", 1) != 1:
        raise UserError(f"--repeats is {config.repeats}, but given samples are drawn once; give other samples for more")
    if flags := drawing_flags(config):
        raise UserError(f"{flags[0]} is for a model that draws: leave it out beside --samples")
    if config.num_samples > len(given):
        raise UserError(f"--num_samples is {config.num_samples}, but '{source}' holds {len(given)} images")
    device = choose_device(config.device)
    _, *of_models = split_names(config.metrics)
    if any(of_models):
        names_of = ", ".join(name for names in of_models for name in names)
        raise UserError(f"given samples are no model, which {names_of} needs: leave it out of --metrics")
    made = instantiate(parser, config)
    evaluator = Evaluator(**{name: made[name] for name in names})
    if needy := of_classes(evaluator.metrics):
        raise UserError(f"given samples have no classes, which {needy[0]} needs: leave it out of --metrics")
    data = made.data
    if isinstance(data, PointData):
        raise UserError("points are no pictures, and have no such scores; name other data with --data")
    if hasattr(data, "check"):
        data.check()
    data.prepare_data()
    given.check(data.image_shape)
    evaluator.prepare(data, device)
    batches = given.batches(data.image_shape, evaluator.num_samples, evaluator.batch_size)
    result = evaluator.evaluate(batches, GIVEN)
    samples = {"path": str(given.path), "available": len(given), "sha256": given.sha256}
    print(result.table())
    print(f"samples  {given.path}, {len(given)} images, {given.sha256[:8]}")
    if output:
        with replacing(output) as temporary:
            temporary.write_text(json.dumps({**result.to_dict(), "samples": samples}, indent=2) + "\n", "utf-8")
    return 0
