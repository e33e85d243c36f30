"""Images as callbacks draw them: from averaged weights, in evaluation mode, with noise of their own."""

__all__ = ["draw", "draw_floats", "draw_rows", "inference"]

import contextlib
from collections.abc import Iterator, Sequence

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from lit_gen.callbacks.ema import averaged
from lit_gen.contracts import SupportsRows, SupportsSample
from lit_gen.errors import UserError
from lit_gen.functional.quantize import to_uint8
from lit_gen.training.modes import evaluating
from lit_gen.training.seeding import derive_seed, generators, isolated


@contextlib.contextmanager
def inference(trainer: Trainer, pl_module: LightningModule, weights: str = "ema") -> Iterator[None]:
    """Makes a model ready to sample, and leaves no trace: weights, modes and random numbers are as they were.

    Every process must enter it, whether it draws or not; see `EMA`. The weights are one of those that it keeps.
    """
    with isolated(), torch.no_grad(), averaged(trainer, pl_module, weights), evaluating(pl_module):
        yield


def draw(
    model: SupportsSample, seed: int, indices: Sequence[int], label: Tensor | None = None, **settings: float
) -> Tensor:
    """Draws images of a seed by their indices, each from a generator of its own.

    Arguments:
        model: The model, within `inference`.
        seed: The seed of all the images.
        indices: Which of them to draw, N.
        label: Their classes, shape [N]; drawn with the images by default, if the model has classes.
        settings: Further arguments of the model's `sample`, such as ``truncation``.

    Returns:
        Images uint8, shape [N, C, H, W].

    Raises:
        UserError: If the images hold NaN.
    """
    return _rounded(draw_floats(model, seed, indices, label, **settings))


def draw_rows(
    model: SupportsSample, seed: int, indices: Sequence[int], label: Tensor | None = None, **settings: float
) -> Iterator[Tensor]:
    """Draws the same images, and yields them a row further each time, or once if the model draws them all at once.

    See `draw` and `SupportsRows`.
    """
    if not isinstance(model, SupportsRows):
        yield draw(model, seed, indices, label, **settings)
        return
    torch.manual_seed(derive_seed(seed, "batch", *indices[:1]))
    for image in model.sample_rows(len(indices), label, generators(seed, indices), **settings):
        yield _rounded(image)


def _rounded(image: Tensor) -> Tensor:
    try:
        return to_uint8(image)
    except ValueError as error:
        raise UserError(
            "the model's samples hold NaN: training has diverged; go on from the last good checkpoint with a smaller "
            "learning rate"
        ) from error


def draw_floats(
    model: SupportsSample, seed: int, indices: Sequence[int], label: Tensor | None = None, **settings: float
) -> Tensor:
    """Draws the same images as the model makes them, not yet rounded; see `draw`."""
    # Networks with noise of their own (dropout at test, say) draw it from the global generator.
    torch.manual_seed(derive_seed(seed, "batch", *indices[:1]))
    return model.sample(len(indices), label, generators(seed, indices), **settings)
