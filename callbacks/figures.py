"""How figures look, and files that are figures; matplotlib is imported when the first is drawn."""

__all__ = ["new_figure", "save_figure", "show_strips"]

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.atomic import replacing
from lit_gen.functional.image_grid import image_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 100
_MOST_PIXELS = 1 << 16  # per side, all that matplotlib can draw
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
}


def new_figure(width: float = 6.0, height: float = 4.0, columns: int = 1, rows: int = 1) -> "tuple[Figure, list[Any]]":
    """Returns a figure of a size in inches and its axes row by row; it belongs to no window and no global state.

    Raises:
        UserError: If it is larger than can be drawn.
    """
    if max(width, height) * _DPI >= _MOST_PIXELS:
        size = f"{width * _DPI:.0f}×{height * _DPI:.0f}"
        raise UserError(f"a figure of {size} pixels cannot be drawn; ask for fewer rows or columns")
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with matplotlib.rc_context(_STYLE):
        figure = Figure((width, height), dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
        FigureCanvasAgg(figure)
        return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(rows * columns)]


def save_figure(figure: "Figure", path: str | Path) -> None:
    """Writes a figure as PNG; the file appears only when it is whole, and missing folders are made."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def show_strips(
    images: Tensor, rows: Sequence[str], columns: Sequence[str], title: str = "", gaps: Sequence[int] = ()
) -> "Figure":
    """Returns a figure of strips of images, each row and column with its name.

    Arguments:
        images: uint8, shape [R, N, C, H, W].
        rows: The strips' names, R.
        columns: The columns' names, N.
        title: The figure's title.
        gaps: The columns before which a line is drawn.
    """
    num_rows, num, _, height, width = images.shape
    assert len(rows) == num_rows and len(columns) == num
    grid = image_grid(images.flatten(0, 1), num, background=255).permute(1, 2, 0).squeeze(-1)
    longest = max(map(len, rows), default=0)
    wide, high = 0.55 * num + 0.075 * longest + 0.35, 0.55 * num_rows * height / width + (0.6 if title else 0.35)
    figure, (axes,) = new_figure(max(wide, 2.0), high)
    axes.imshow(grid.numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_xticks([2 + i * (width + 2) + width / 2 - 0.5 for i in range(num)], columns)
    axes.set_yticks([2 + i * (height + 2) + height / 2 - 0.5 for i in range(num_rows)], rows)
    for column in gaps:
        axes.axvline(column * (width + 2) + 0.5, color="tab:red", linewidth=1.5)
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.suptitle(title, fontsize=10)
    return figure
