"""What translation depends on beside an image (label maps, styles, attributes), with models of this file's own."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

OWN = '''
import torch
from pytorch_lightning import LightningModule

class Painter(LightningModule):
    """Paints classes red, instances green, and the style's mean blue."""

    def __init__(self):
        super().__init__()
        self.num_label_classes, self.image_shape, self.encoder = 4, (3, 8, 8), torch.nn.Identity()

    def translate(self, batch, generator=None):
        label_map = batch["label_map"]
        assert label_map.dtype == torch.int64 and "image" not in batch
        green = batch["instance"] / 127.5 - 1 if "instance" in batch else torch.ones_like(label_map)
        blue = batch["style"].mean() if "style" in batch else torch.rand((), generator=generator[0]) * 2 - 1
        assert "style" not in batch or batch["style"].shape == (1, 3, 8, 8)
        return torch.stack([label_map / 127.5 - 1, green, blue.expand(label_map.shape)], dim=1).float()

class Blind(LightningModule):
    """Shows the attributes wanted as its three channels; cannot tell those that images have."""

    def __init__(self):
        super().__init__()
        self.image_shape = (3, 8, 8)
        self.attribute_names, self.attribute_groups = ("hair=0", "hair=1", "smile"), ((0, 1), (2,))

    def translate(self, batch, generator=None):
        return (batch["wanted"] * 2 - 1)[:, :, None, None].expand_as(batch["image"])

class Seeing(Blind):
    """Takes dark images for smiling ones with hair 1."""

    def recognise(self, image):
        assert image.shape == (1, *self.image_shape)
        dark = (image.mean(dim=(1, 2, 3)) < 0).float()
        return torch.stack([1 - dark, dark, dark], dim=1)

class Styled(Blind):
    """Makes images like the one that gives the style."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Identity()

    def translate(self, batch, generator=None):
        assert batch["wanted"].tolist() == [[0, 1, 0]]
        return batch["style"].mean(dim=(2, 3), keepdim=True).expand_as(batch["image"])

class Deaf(LightningModule):
    def __init__(self):
        super().__init__()

class Choosy(LightningModule):
    """Needs 8 pixels, and enlarges."""

    def __init__(self):
        super().__init__()
        self.image_shape = self.source_shape = (3, 8, 8)

    def translate(self, batch, generator=None):
        if batch["source"].shape[2] < 8:
            raise RuntimeError("a kernel of 8")
        nothing = 0 / (batch["source"].max() > -1)
        return batch["source"].repeat_interleave(2, 2).repeat_interleave(2, 3) + nothing
'''


def noise(*shape: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def pixels(path: object) -> np.ndarray:
    return np.asarray(Image.open(str(path)))


@pytest.fixture
def own(lit_gen):
    """``translate`` of a model of this file's own, and a folder ``in`` of one image."""
    Path("own_translators.py").write_text(OWN)

    def run(name: str, *arguments: object):
        path = f"{name}.ckpt"
        torch.save({"state_dict": {}, "hyper_parameters": {"_class_path": f"own_translators.{name}"}}, path)
        words = ("--trust", "own_translators", "--input", "in", "--output", "out", "--device", "cpu", "--overwrite")
        return lit_gen("translate", "--ckpt_path", path, *words, *arguments)

    Path("in").mkdir()
    noise(10, 12, 3).save("in/x.png")
    return run


def test_label_maps_with_instances_and_a_style(own):
    shutil.rmtree("in")
    for folder in ("in", "instances"):
        Path(folder).mkdir()
    index = np.random.default_rng(0).choice(np.array([0, 1, 2, 3, 255], np.uint8), (7, 9))
    label = Image.fromarray(index, "P")
    label.putpalette([9] * 768)
    label.save("in/street.png")
    Image.fromarray(index.astype(np.uint16) % 200).save("instances/street.tif")
    Image.new("RGB", (40, 30), (255, 0, 0)).save("style.png")
    said = own("Painter", "--instances", "instances", "--style", "style.png")
    assert said.status == 0, said.err
    assert np.array_equal(pixels("out/street.png")[..., 0], index)
    assert np.array_equal(pixels("out/street.png")[..., 1], index % 200)
    assert (pixels("out/street.png")[..., 2] == 85).all()
    tiles = own("Painter", "--tile", 4)
    assert tiles.status == 0, tiles.err
    assert len(np.unique(pixels("out/street.png")[..., 2])) == 1, "every tile has the same noise"
    Image.fromarray(np.full((7, 9), 4, np.uint8)).save("in/wrong.png")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save("in/lone.png")
    assert "in/wrong.png: has the index 4, but classes run from 0 to 3" in own("Painter").err
    assert "in/lone.png has no map of its name in instances" in own("Painter", "--instances", "instances").err
    for name in ("wrong", "lone"):
        Path(f"in/{name}.png").unlink()
    Image.fromarray(np.zeros((3, 3), np.uint8)).save("instances/street.tif")
    assert (
        "in/street.png is 9×7 pixels (across × down), but its partner" in own("Painter", "--instances", "instances").err
    )


@pytest.mark.parametrize(
    ("model", "target", "colour"),
    [
        ("Blind", ("hair=1", "smile=no"), (0, 255, 0)),
        ("Blind", ("smile", "hair=0"), (255, 0, 255)),
        ("Seeing", ("hair=0",), (255, 0, 255)),
        ("Seeing", ("smile=no",), (0, 255, 0)),
    ],
)
def test_attributes(own, model, target, colour):
    Image.new("RGB", (13, 11), (9, 9, 9)).save("in/x.png")
    said = own(model, "--target", *target)
    assert said.status == 0, said.err
    assert (pixels("out/x.png") == colour).all() and pixels("out/x.png").shape == (11, 13, 3)


@pytest.mark.parametrize(
    ("model", "target", "message"),
    [
        ("Blind", (), "--target must say which hair and smile images are to have, as in --target hair=0 smile=yes"),
        ("Blind", ("hair=1",), "--target must say which smile images are to have, as in --target smile=yes"),
        ("Seeing", ("hair=1", "hair=0"), "--target names hair twice"),
        ("Seeing", ("hairs=1",), "no attribute that the model changes; did you mean 'hair=1'?"),
        ("Seeing", ("smile=maybe",), "smile can be yes or no"),
    ],
)
def test_mistaken_attributes(own, model, target, message):
    said = own(model, *(["--target", *target] if target else []))
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert message in said.err
    assert not Path("out").exists()


def test_a_style_of_attributes_needs_to_know_which(own):
    Image.new("RGB", (13, 11), (9, 9, 9)).save("style.png")
    said = own("Styled", "--style", "style.png")
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "--style is given without --target, and Styled of 'Styled.ckpt' must know what the image is" in said.err
    assert own("Styled", "--style", "style.png", "--target", "hair=1", "smile=no").status == 0
    assert (pixels("out/x.png") == (9, 9, 9)).all()


def test_what_a_model_cannot_do_names_the_file(own):
    assert "Deaf of 'Deaf.ckpt' does not translate images" in own("Deaf").err
    assert own("Choosy").status == 0
    assert pixels("out/x.png").shape == (20, 24, 3)
    assert "in/x.png: a tile of 8×8 pixels became one of 16×16" in own("Choosy", "--tile", 8).err
    noise(7, 9, 3).save("in/low.png")
    assert "in/low.png: 9×7 pixels (across × down) are too few for the model (a kernel of 8)" in own("Choosy").err
    Path("in/low.png").unlink()
    Image.new("RGB", (8, 8)).save("in/x.png")  # black alone makes it 0 / 0
    assert "in/x.png: the images hold NaN" in own("Choosy").err
