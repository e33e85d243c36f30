"""What is seen of images while they are drawn: a bar with the time left, and a grid that fills row by row."""

__all__ = ["drawn_batches"]

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from lit_gen.callbacks.sampling import draw_rows
from lit_gen.contracts import SupportsRows, SupportsSample
from lit_gen.functional.image_grid import image_grid
from lit_gen.functional.png import write_png

_SECONDS = 1.0


@torch.no_grad()
def drawn_batches(
    model: SupportsSample,
    seed: int,
    parts: Sequence[Sequence[int]],
    labels: Sequence[Tensor | None],
    settings: Mapping[str, float],
    grid: Path | None = None,
    columns: int | None = None,
) -> Iterator[Tensor]:
    """Draws a seed's images batch by batch, each image by its index; in a terminal, with a bar and the time left.

    Arguments:
        model: The model; if it draws by rows (`SupportsRows`), the bar counts rows.
        seed: The seed.
        parts: The indices of each batch.
        labels: The classes of each batch, shape [N], or None.
        settings: Further arguments of the model's `sample`.
        grid: A PNG that is written again and again, with the rows that there are; none by default.
        columns: The images per row of this grid.

    Yields:
        Images uint8, shape [N, C, H, W], on the CPU.
    """
    by_rows = isinstance(model, SupportsRows)
    what = "rows" if by_rows else "batches"
    total = len(parts) * (model.image_shape[1] if by_rows else 1)
    console = Console(stderr=True)
    shown = (TextColumn("Sampling"), BarColumn(), MofNCompleteColumn(), TextColumn(what), TimeRemainingColumn())
    before: list[Tensor] = []
    written = time.monotonic()
    with Progress(*shown, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        for n, (part, label) in enumerate(zip(parts, labels, strict=True)):
            for image in draw_rows(model, seed, part, label, **settings):
                progress.advance(task)
                if grid is not None and time.monotonic() - written >= _SECONDS:
                    rest = image.new_zeros(sum(map(len, parts[n + 1 :])), *image.shape[1:])
                    write_png(image_grid(torch.cat([*before, image, rest]).cpu(), columns), grid)
                    written = time.monotonic()
            yield image.cpu()
            if grid is not None:
                before.append(image)
