"""``lit-gen diagnose receptive_field``: what a pixel depends on, in networks of which that is known."""

import csv
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch

from lit_gen.commands.diagnose import receptive_field
from lit_gen.models import Autoregressive
from lit_gen.nn.gated_pixelcnn import GatedPixelCNN
from lit_gen.nn.multi_scale_network import MultiScaleNetwork
from lit_gen.nn.pixelcnn import PixelCNN


@pytest.fixture
def field(lit_gen, trained):
    """The diagnosis, and what its table says of each pixel."""

    def run(*arguments: object, status: int = 0):
        said = lit_gen("diagnose", "receptive_field", *arguments, "--ckpt_path", trained, "--output", "out")
        assert said.status == status, said.err
        if status:
            return said, {}
        assert sorted(path.name for path in Path("out").iterdir()) == ["receptive_field.csv", "receptive_field.png"]
        with open("out/receptive_field.csv", newline="", encoding="utf-8") as file:
            return said, {(int(row["row"]), int(row["column"])): row["kind"] for row in csv.DictReader(file)}

    return run


def test_pixelcnn_has_a_blind_spot(field, monkeypatch):
    torch.manual_seed(0)
    network = partial(PixelCNN, features=8, blocks=7, first_kernel_size=3)
    model = Autoregressive((1, 8, 8), 3, network=network, conditional=True)
    monkeypatch.setattr(receptive_field, "load_model", lambda *_: model)
    said, kinds = field("--pixel", 5, 2, "--label", 1)
    # A row higher, one column further to the right: rows 4 to 0 miss 4, 3, 2, 1 and 0 columns.
    blind = {place for place, kind in kinds.items() if kind == "blind"}
    assert blind == {(r, c) for r in range(5) for c in range(8) if c - 2 > 5 - r} and len(blind) == 10
    assert "10 of the 42 pixels before it" in said.out


def test_the_gated_kind_has_none(field, monkeypatch):
    torch.manual_seed(0)
    network = partial(GatedPixelCNN, features=8, blocks=7, kernel_size=3, first_kernel_size=3)
    model = Autoregressive((1, 8, 8), network=network)
    monkeypatch.setattr(receptive_field, "load_model", lambda *_: model)
    said, kinds = field("--pixel", 5, 2)
    assert set(kinds.values()) == {"seen", "later"}
    assert "0 of the 42 pixels before it" in said.out
    for wrong, message in [(("--pixel", 8, 0), "rows 0 to 7"), (("--label", 1), "unconditional")]:
        assert message in field(*wrong, status=2)[0].err


def test_from_coarse_to_fine_the_small_image_comes_first(field, monkeypatch):
    torch.manual_seed(0)
    gated = partial(GatedPixelCNN, features=8, blocks=7, kernel_size=3, first_kernel_size=3)
    network = partial(MultiScaleNetwork, small=gated, large=gated)
    model = Autoregressive((1, 7, 8), network=network)
    monkeypatch.setattr(receptive_field, "load_model", lambda *_: model)
    small = {(r, c) for r in range(0, 7, 2) for c in range(0, 8, 2)}
    said, kinds = field("--pixel", 2, 4)
    assert {place for place, kind in kinds.items() if kind == "seen"} == {p for p in small if p < (2, 4)}
    assert "0 of the 6 pixels before it" in said.out
    shutil.rmtree("out")
    said, kinds = field("--pixel", 3, 4)
    assert {place for place, kind in kinds.items() if kind == "seen"} == small | {p for p in kinds if p < (3, 4)}
    assert "0 of the 36 pixels before it" in said.out


def test_a_model_without_an_order_of_pixels_is_told_so(field):
    assert "does not draw pixel after pixel" in field(status=2)[0].err
