"""``lit-gen diagnose receptive_field``: what a pixel of an autoregressive model depends on.

A pixel may depend on all that are drawn before it, and on nothing else. Masked convolutions leave a blind spot among
those before it, which no depth makes good (van den Oord et al., 2016, Conditional Image Generation with PixelCNN
Decoders, figure 1); two stacks have none.
"""

__all__ = ["run"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from numpy.typing import NDArray

from lit_gen.callbacks.figures import new_figure, save_figure
from lit_gen.commands.checkpointed import choose_device, parse, read_wanted
from lit_gen.commands.classes import import_all
from lit_gen.commands.diagnose.options import (
    at_least,
    check_pictures,
    diagnosis_parser,
    output_folder,
    write_table,
)
from lit_gen.commands.sample import class_labels
from lit_gen.contracts import SupportsInfluence
from lit_gen.errors import UserError
from lit_gen.functional.quantize import from_uint8
from lit_gen.training.loading import load_model

_KINDS = ("later", "blind", "seen")


def run(arguments: Sequence[str]) -> int:
    """Writes ``receptive_field.png`` and ``receptive_field.csv``, a line per pixel.

    Raises:
        UserError: If an argument is wrong, or the model does not draw pixel after pixel.
    """
    parser = diagnosis_parser("See what a pixel of an autoregressive model depends on.")
    parser.add_argument("--pixel", type=int, nargs=2, default=None, help="its row and column")
    parser.add_argument("--num_images", type=int, default=16, help="random images to average derivatives over")
    parser.add_argument("--label", type=str | None, help="the class that is looked at (conditional models)")
    import_all()
    options = parse(parser, arguments)
    at_least(1, options, "num_images")
    folder = output_folder(options)
    checkpoint = read_wanted(options.ckpt_path, options.runs)
    model = load_model(checkpoint, options.weights, options.trust)
    if not isinstance(model, SupportsInfluence):
        raise UserError(f"{type(model).__name__} of '{checkpoint['path']}' does not draw pixel after pixel")
    check_pictures(model)
    channels, height, width = model.image_shape
    row, column = options.pixel or (height // 2, width // 2)
    if not (0 <= row < height and 0 <= column < width):
        raise UserError(f"--pixel is {row} {column}, of images with rows 0 to {height - 1}, columns 0 to {width - 1}")
    names = [options.label] if options.label else []
    classes = class_labels(names, getattr(model, "num_classes", None), checkpoint, options.trust)
    device = choose_device(options.device)
    label = torch.tensor(classes[:1]).expand(options.num_images).to(device) if classes else None
    noise = torch.Generator().manual_seed(options.seed)
    image = torch.randint(0, 256, (options.num_images, channels, height, width), generator=noise, dtype=torch.uint8)
    model.to(device)
    torch.manual_seed(options.seed)  # grey images may be made binary
    found = model.influence(from_uint8(image).to(device), row, column, label).cpu()

    earlier = model.pixel_order[: list(model.pixel_order).index((row, column))]
    kind = torch.zeros(height, width, dtype=torch.long)
    for r, c in earlier:
        kind[r, c] = 1
    kind[found > 0] = 2
    kind[row, column] = 0  # of its own channels those that come later depend on the first
    blind = int((kind == 1).sum())
    write_table(
        [
            {"row": r, "column": c, "kind": _KINDS[kind[r, c]], "influence": found[r, c].item()}
            for r in range(height)
            for c in range(width)
        ],
        folder / "receptive_field.csv",
    )
    _draw(found.numpy(), kind.numpy(), row, column, folder / "receptive_field.png")
    print(f"pixel ({row}, {column}): {blind} of the {len(earlier)} pixels before it do not bear on it")
    print(f"figure and table: {folder}/receptive_field.*")
    return 0


def _draw(found: NDArray[Any], kind: NDArray[Any], row: int, column: int, path: Path) -> None:
    """Draws how strongly each pixel bears on one of them, blind spots in red, and what comes later in white."""
    figure, (axes,) = new_figure(5.2, 4.6)
    logs = numpy.full(found.shape, numpy.nan)
    numpy.log10(found, out=logs, where=kind == 2)
    high = float(numpy.nanmax(logs)) if (kind == 2).any() else 0.0
    low = max(float(numpy.nanmin(logs)), high - 6) if (kind == 2).any() else -6.0
    shown = axes.imshow(logs, cmap="viridis", vmin=low, vmax=high)
    blind = numpy.where(kind == 1, 1.0, numpy.nan)
    axes.imshow(blind, cmap="Reds", vmin=0, vmax=1.4, interpolation="nearest")
    axes.plot([column], [row], marker="s", color="black", markersize=6, linestyle="none")
    figure.colorbar(shown, ax=axes, label="log10 of the derivative's size")
    axes.set_title(f"What pixel ({row}, {column}) depends on\nred: drawn before it, and not seen")
    axes.set_xlabel("column")
    axes.set_ylabel("row")
    axes.grid(False)
    save_figure(figure, path)
