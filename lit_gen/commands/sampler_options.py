"""How a diffusion model's samples are made, in place of what its run said: ``--sampler`` and ``--guidance``."""

__all__ = ["add_sampler_options", "drawing_flags", "names_sampler", "use_sampler"]

from collections.abc import Sequence
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from lit_gen.errors import UserError
from lit_gen.functional.sampler import Sampler
from lit_gen.training.diffusion import DiffusionModule


def add_sampler_options(parser: ArgumentParser) -> None:
    """Adds both options, and the sampler's own arguments."""
    parser.add_subclass_arguments(Sampler, "sampler", required=False, fail_untyped=False)
    parser.add_argument("--guidance", type=float | None, help="how far samples follow their labels; 1: no further")


def names_sampler(arguments: Sequence[str]) -> bool:
    """Returns whether the sampler is among a command's arguments, before these are parsed."""
    return any(word.partition("=")[0].partition(".")[0] == "--sampler" for word in arguments)


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
        if sampler.is_random and not model.noise_is_independent:
            raise UserError(
                f"--sampler {sampler!r} draws noise on its way, which is not for a model whose noise was coupled with "
                "images in training: take one that draws none"
            )
        model.sampler = sampler
        said.append(repr(sampler))
    if guidance is not None:
        if model.num_classes is None:
            raise UserError("--guidance is for models that know labels, and this one knows none: leave it out")
        model.guidance = guidance
        said.append(f"guidance {guidance:g}")
    return ", ".join(said) or None
