import sys

import pytest
import torch
from PIL import Image

from lit_gen.callbacks.figures import new_figure, save_figure, show_strips
from lit_gen.errors import UserError


def test_a_figure_is_written_whole_and_pyplot_stays_out(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    figure, axes = new_figure(4, 2, columns=2)
    axes[0].plot([1, 2], [3, 4])
    save_figure(figure, tmp_path / "deep" / "x.png")
    with Image.open(tmp_path / "deep/x.png") as image:
        assert image.size == (400, 200)
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["x.png"]
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_axes_come_row_by_row():
    figure, axes = new_figure(4, 4, columns=2, rows=3)
    figure.canvas.draw()
    places = [(round(axis.get_position().y0, 2), round(axis.get_position().x0, 2)) for axis in axes]
    assert len(axes) == 6 and places == sorted(places, key=lambda place: (-place[0], place[1]))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_strips_of_any_channels(tmp_path, channels):
    images = torch.randint(0, 256, (3, 5, channels, 8, 12), dtype=torch.uint8)
    figure = show_strips(images, ["a", "b", "a long name"], list("01234"), "Title", gaps=[1])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "a long name"]
    shown = axes.images[0].get_array()
    assert shown.shape[:2] == (3 * 10 + 2, 5 * 14 + 2)
    # A tick stands in the middle of its image.
    assert axes.get_xticks()[1] == 2 + 14 + 12 / 2 - 0.5
    save_figure(figure, tmp_path / "x.png")


def test_a_figure_that_cannot_be_drawn_is_refused():
    images = torch.zeros(1, 1300, 1, 1, 1, dtype=torch.uint8)
    with pytest.raises(UserError, match="ask for fewer rows or columns"):
        show_strips(images, [""], [""] * 1300)
