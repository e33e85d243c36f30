import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from lit_gen.datamodules.decode import colour, decode
from lit_gen.errors import UserError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def read(path, size=(4, 6), resize="stretch", channels=3, background=RED):
    image = decode(path, size, resize, channels, background)
    assert image.dtype == torch.uint8 and image.shape == (channels, *size) and image.is_contiguous()
    return image


def save(tmp_path, image, name="image.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def pixel(path, channels=3, **options):
    """The one colour of an image that has but one."""
    image = read(path, channels=channels, **options)
    assert (image == image[:, :1, :1]).all()
    return tuple(image[:, 0, 0].tolist())


def palette(transparent=False):
    image = Image.new("P", (3, 5), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    if transparent:
        image.info["transparency"] = 1
    return image


def wide(value, dtype=np.uint16):
    return Image.fromarray(np.full((5, 3), value, dtype))


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        (Image.new("1", (3, 5), 1), "i.png", (255, 255, 255)),
        (Image.new("L", (3, 5), 77), "i.png", (77, 77, 77)),
        (Image.new("L", (3, 5), 77), "i.PGM", (77, 77, 77)),
        (Image.new("RGB", (3, 5), (10, 20, 30)), "i.png", (10, 20, 30)),
        (Image.new("RGB", (3, 5), (10, 20, 30)), "i.BMP", (10, 20, 30)),
        (Image.new("RGB", (3, 5), (10, 20, 30)), "i.tiff", (10, 20, 30)),
        (palette(), "i.png", (10, 20, 30)),
        (palette(), "i.gif", (10, 20, 30)),
        (palette(transparent=True), "i.png", RED),
        (Image.new("LA", (3, 5), (0, 51)), "i.png", (204, 0, 0)),
        (Image.new("RGBA", (3, 5), (0, 0, 255, 51)), "i.png", (204, 0, 51)),
        (Image.new("RGBA", (3, 5), (0, 0, 255, 0)), "i.png", RED),
        (wide(0), "i.png", (0, 0, 0)),
        (wide(300), "i.png", (1, 1, 1)),
        (wide(257 * 100), "i.png", (100, 100, 100)),
        (wide(257 * 100), "i.tif", (100, 100, 100)),
        (wide(65535), "i.png", (255, 255, 255)),
        (wide(257 * 100, np.int32), "i.tif", (100, 100, 100)),
        (wide(0.2, np.float32), "i.tif", (51, 51, 51)),
        (wide(25700.0, np.float32), "i.tif", (100, 100, 100)),
        (Image.new("CMYK", (3, 5), (0, 255, 255, 0)), "i.tif", (255, 0, 0)),
        (Image.new("CMYK", (3, 5), (255, 0, 0, 0)), "i.jpg", (0, 255, 255)),
    ],
    ids=lambda value: f"{value.mode}" if isinstance(value, Image.Image) else None,
)
def test_every_mode(tmp_path, image, name, expected):
    found = pixel(save(tmp_path, image, name))
    assert np.abs(np.subtract(found, expected)).max() <= (2 if name.endswith("jpg") else 0)


def test_transparent_colour_of_rgb(tmp_path):
    path = save(tmp_path, Image.new("RGB", (3, 5), (1, 2, 3)), transparency=(1, 2, 3))
    assert pixel(path) == RED


def test_sixteen_bit_gradient_is_scaled_not_clipped(tmp_path):
    path = save(tmp_path, Image.fromarray(np.arange(256, dtype=np.uint16).reshape(1, 256) * 257))
    assert read(path, (1, 256), channels=1).flatten().tolist() == list(range(256))


def test_grey(tmp_path):
    assert pixel(save(tmp_path, Image.new("RGB", (3, 5), (255, 0, 0))), channels=1) == (76,)
    assert pixel(save(tmp_path, Image.new("RGBA", (3, 5), (0, 0, 0, 0))), channels=1, background=(9, 9, 9)) == (9,)


def test_edges_of_transparency_do_not_bleed(tmp_path):
    # Hidden under full transparency lies black; shrinking must not mix it in.
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255), (0, 0, 4, 8))
    assert read(save(tmp_path, image), (3, 3), background=WHITE).min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    upright = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) * 10)
    undo = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}  # the transposition that EXIF asks to revert
    stored = upright
    for method in undo.get(orientation, []):
        stored = stored.transpose(Image.Transpose(method))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, stored, exif=exif)
    assert torch.equal(read(path, channels=1), torch.from_numpy(np.array(upright))[None])


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ((0, 0, 250), (0, 250, 0))]
    path = save(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert pixel(path) == (0, 0, 250)


def ramp(width, height):
    return Image.fromarray(np.tile(np.arange(width, dtype=np.uint8), (height, 1)))


@pytest.mark.parametrize("size", [(4, 4), (5, 3), (3, 5), (1, 1), (7, 16)])
@pytest.mark.parametrize("shape", [(16, 16), (31, 7), (7, 31), (1, 1), (1, 40), (13, 17)])
@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sizes(tmp_path, resize, shape, size, channels):
    path = save(tmp_path, Image.new("L", shape, 200))
    image = read(path, size, resize, channels)
    if resize == "pad":
        assert (image[:, (size[0] - 1) // 2, (size[1] - 1) // 2] == 200).all()
    else:
        assert (image == 200).all()


def test_crop_takes_the_middle(tmp_path):
    assert read(save(tmp_path, ramp(10, 4)), (4, 4), "crop", 1)[0, 0].tolist() == [3, 4, 5, 6]
    tall = ramp(10, 4).transpose(Image.Transpose.ROTATE_270)
    assert read(save(tmp_path, tall), (4, 4), "crop", 1)[0, :, 0].tolist() == [3, 4, 5, 6]


def test_pad_keeps_all_and_fills_up(tmp_path):
    image = read(save(tmp_path, Image.new("RGB", (8, 4), (0, 9, 0))), (8, 8), "pad")
    assert (image[:, 2:6] == torch.tensor([0, 9, 0])[:, None, None]).all()
    for rows in (image[:, :2], image[:, 6:]):
        assert (rows == torch.tensor(RED)[:, None, None]).all()
    grey = read(save(tmp_path, Image.new("L", (8, 4), 9)), (8, 8), "pad", channels=1)
    assert (grey[0, :2] == 76).all()


def test_shrinking_averages(tmp_path):
    stripes = Image.fromarray(np.tile(np.array([0, 200], np.uint8), (64, 32)))
    image = read(save(tmp_path, stripes), (8, 8), "stretch", 1)
    assert (image.int() - 100).abs().max() <= 8


def damaged(tmp_path, kind):
    path = tmp_path / f"{kind}.png"
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no image\nat all")
    elif kind == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "garbled":
        path.write_bytes(whole[:60] + bytes(400) + whole[460:])
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "absent":
        path.unlink()
    return path


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "garbled", "folder", "absent"])
def test_unreadable_file_is_named(tmp_path, kind):
    path = damaged(tmp_path, kind)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: cannot be read as an image (") and "\n" not in str(caught.value)


def test_decompression_bomb_is_named(tmp_path, monkeypatch):
    path = save(tmp_path, Image.new("L", (64, 64)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with warnings.catch_warnings(), pytest.raises(UserError, match=r"image\.png: .*4096 pixels"):
        warnings.simplefilter("ignore")
        read(path)


@pytest.mark.parametrize(("value", "dtype"), [(-5, np.int32), (70_000, np.int32), (np.nan, np.float32)])
def test_wide_values_out_of_range_are_not_guessed_at(tmp_path, value, dtype):
    with pytest.raises(UserError, match="where 16-bit grey has 0 to 65535"):
        read(save(tmp_path, wide(value, dtype), "i.tif"))


@pytest.mark.parametrize(
    ("name", "expected"), [("white", WHITE), ("#20a0ff", (32, 160, 255)), ("rgb(1,2,3)", (1, 2, 3))]
)
def test_colour(name, expected):
    assert colour(name, "background") == expected


def test_unknown_colour():
    with pytest.raises(UserError, match="background is 'whiteish'; it must be a colour such as"):
        colour("whiteish", "background")
