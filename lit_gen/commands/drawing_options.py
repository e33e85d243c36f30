"""How a diffusion model's samples are drawn, in place of what its run said: by another sampler, or guided."""

__all__ = ["add_drawing_options", "drawing_flags", "names_sampler", "use_sampler"]

from collections.abc import Sequence
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from lit_gen.commands.arguments import flag_values
from lit_gen.errors import UserError
from lit_gen.functional.sampler import Sampler
from lit_gen.training.diffusion import DiffusionModule, check_guidance


def add_drawing_options(parser: ArgumentParser) -> None:
    """Adds the options of `drawing_flags`, and the sampler's own arguments."""
    parser.add_subclass_arguments(Sampler, "sampler", required=False, fail_untyped=False)
    parser.add_argument("--guidance", type=float | None, help="how far samples follow their labels; 1: no further")
    parser.add_argument("--classifier_guidance", type=float | None, help="guide samples by a classifier, so strongly")


def names_sampler(arguments: Sequence[str]) -> bool:
    """Returns whether a sampler is among a command's arguments, before these are parsed.

    Raises:
        UserError: If there are but arguments of it.
    """
    own = [word.partition("=")[0] for word in arguments if word.startswith("--sampler.")]
    named = bool(flag_values(arguments, "--sampler"))
    if own and not named:
        raise UserError(
            f"{own[0]} is of a sampler that is not named: say which, as in --sampler DDIM --sampler.steps 20"
        )
    return named


def drawing_flags(options: Namespace) -> list[str]:
    """Lists the options, among those given, that say how samples are drawn."""
    names = ("sampler", "guidance", "classifier_guidance")
    return [f"--{name}" for name in names if options.get(name) is not None]


def use_sampler(model: Any, sampler: Sampler | None, guidance: float | None) -> str | None:
    """Gives a model the sampler and the guidance that are not None.

    Returns:
        What a protocol says of it, None if both are None.

    Raises:
        UserError: If the model is none of diffusion, knows no labels to follow, or cannot be sampled in this way.
    """
    given = [f"--{name}" for name, value in (("sampler", sampler), ("guidance", guidance)) if value is not None]
    if given and not isinstance(model, DiffusionModule):
        raise UserError(f"{type(model).__name__} is no diffusion model: leave out {' and '.join(given)}")
    said = []
    if sampler is not None:
        model.check_sampler(sampler)
        model.sampler = sampler
        said.append(repr(sampler))
    if guidance is not None:
        check_guidance("--guidance", guidance, model.num_classes is not None, model.label_dropout)
        model.guidance = guidance
        said.append(f"guidance {guidance:g}")
    return ", ".join(said) or None
