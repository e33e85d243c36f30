"""``evaluate --samples``: images from folders and arrays, the same as the pixels they hold."""

import hashlib
import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lit_gen.commands.given_images import open_given
from lit_gen.errors import UserError


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (7, 8, 6, 3), dtype=np.uint8)


def read(path, shape=(3, 8, 6), batch_size=3):
    given = open_given(str(path))
    batches = list(given.batches(shape, len(given), batch_size))
    assert [index.tolist() for index, _ in batches] == [
        list(range(start, min(start + batch_size, len(given)))) for start in range(0, len(given), batch_size)
    ]
    return np.concatenate([image.numpy() for _, image in batches]), given.sha256


def test_folders_and_arrays_hold_the_same_images(tmp_path, pixels):
    images = pixels.transpose(0, 3, 1, 2)
    (tmp_path / "folder" / "b").mkdir(parents=True)
    for i, one in enumerate(pixels):
        Image.fromarray(one).save(tmp_path / "folder" / ("b" if i > 3 else "") / f"{i}.png")
    (tmp_path / "folder" / ".hidden.png").write_text("no image")
    (tmp_path / "folder" / "notes.txt").write_text("no image")
    np.save(tmp_path / "nhwc.npy", pixels)
    np.save(tmp_path / "nchw.npy", images)
    np.savez(tmp_path / "plain.npz", pixels, labels=np.arange(7))
    np.savez_compressed(tmp_path / "images.npz", images=pixels, labels=np.arange(7))
    expected = hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()
    for name in ("folder", "nhwc.npy", "nchw.npy", "plain.npz", "images.npz"):
        found, sha256 = read(tmp_path / name)
        assert (found == images).all() and sha256 == expected, name


def test_modes_that_hold_the_same_pixels_are_read_without_loss(tmp_path, pixels):
    grey = pixels[0, ..., 0]
    alpha = np.full_like(grey, 255)
    stacks = {"L": grey, "RGB": np.stack([grey] * 3, -1), "RGBA": np.stack([grey] * 3 + [alpha], -1)}
    for name, values in stacks.items():
        Image.fromarray(values, name).save(tmp_path / f"{name}.png")
    Image.fromarray(stacks["RGB"]).quantize(256).save(tmp_path / "P.png")
    found, _ = read(tmp_path, (1, 8, 6))
    assert (found == grey).all() and len(found) == 4
    found, _ = read(tmp_path, (3, 8, 6))
    assert (found == grey).all() and found.shape == (4, 3, 8, 6)


def test_grey_arrays_may_lack_the_channel(tmp_path, pixels):
    np.save(tmp_path / "x.npy", pixels[..., 0])
    assert (read(tmp_path / "x.npy", (1, 8, 6))[0][:, 0] == pixels[..., 0]).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: Image.new("RGB", (6, 9)).save(path), "is 9×6 (height×width), the data's images are 8×6"),
        (lambda path: Image.new("I;16", (6, 8)).save(path), "is 16-bit or float grey; save it as 8-bit"),
        (lambda path: Image.new("RGBA", (6, 8), (1, 2, 3, 9)).save(path), "has transparent pixels"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n"), "cannot be read as an image"),
        (lambda path: path.write_bytes(_png()[:-30]), "cannot be read as an image"),
    ],
)
def test_an_image_that_does_not_fit_is_named(tmp_path, make, words):
    Image.new("RGB", (6, 8)).save(tmp_path / "0.png")
    make(tmp_path / "1.png")
    with pytest.raises(UserError) as found:
        read(tmp_path)
    assert str(tmp_path / "1.png") in str(found.value) and words in str(found.value)


def _png():
    import io

    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_colour_is_not_made_grey(tmp_path):
    Image.new("RGB", (6, 8), (1, 2, 3)).save(tmp_path / "0.png")
    with pytest.raises(UserError, match=r"0\.png is RGB, the data's images are grey"):
        read(tmp_path, (1, 8, 6))


def test_arrays_that_are_no_images_are_named(tmp_path, pixels):
    np.save(tmp_path / "float.npy", pixels / 255)
    np.save(tmp_path / "flat.npy", pixels.reshape(7, -1))
    np.save(tmp_path / "fortran.npy", np.asfortranarray(pixels))
    np.savez(tmp_path / "two.npz", x=pixels, y=pixels)
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "cut.npy", pixels)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-1])
    np.savez_compressed(tmp_path / "cut.npz", pixels)
    content = bytearray((tmp_path / "cut.npz").read_bytes())
    content[300:320] = b"\0" * 20
    (tmp_path / "cut.npz").write_bytes(content)
    (tmp_path / "text.npz").write_text("text")
    (tmp_path / "images.txt").write_text("text")
    (tmp_path / "empty").mkdir()
    for name, words in {
        "float.npy": "holds float64; images are uint8",
        "flat.npy": "shape (7, 144)",
        "fortran.npy": "Fortran",
        "two.npz": "its arrays are: x, y",
        "pickled.npy": "holds object",
        "cut.npy": "ends after 6 of 7 images",
        "cut.npz": "is no whole array file",
        "text.npz": "is no whole array file",
        "images.txt": "must be a folder of images",
        "empty": "there are no images in",
        "absent.npy": "there is no",
    }.items():
        with pytest.raises(UserError) as found:
            read(tmp_path / name)
        assert words in str(found.value) and name in str(found.value), found.value
    np.save(tmp_path / "fine.npy", pixels)
    with pytest.raises(UserError, match=r"shape \(8, 6, 3\), the data's are 8×6 of 1 channels"):
        read(tmp_path / "fine.npy", (1, 8, 6))


def test_no_more_than_a_batch_is_in_memory(tmp_path):
    header = {"descr": "|u1", "fortran_order": False, "shape": (4000, 64, 64, 3)}
    archive = zipfile.ZipFile(tmp_path / "large.npz", "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("arr_0.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(4000):
            file.write(bytes(64 * 64 * 3))
    given = open_given(str(tmp_path / "large.npz"))
    tracemalloc.start()
    count = sum(len(image) for _, image in given.batches((3, 64, 64), 4000, 100))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 4000
    assert peak < 8 * 100 * 64 * 64 * 3  # of 49 MB, some batches of 1.2


def test_given_samples_have_the_scores_of_the_model_that_drew_them(lit_gen, trained):
    drawn = ("sample", "--ckpt_path", trained, "--num_samples", 60, "--batch_size", 60, "--device", "cpu", "--output")
    assert lit_gen(*drawn, "folder").status == 0
    assert lit_gen(*drawn, "array.npz").status == 0
    options = ("--metrics", "fid,kid", "--device", "cpu", "--batch_size", 60, "--output")
    lit_gen("evaluate", "--ckpt_path", trained, "--num_samples", 60, *options, "model.json")
    for name in ("folder", "array.npz"):
        said = lit_gen(
            "evaluate", "--samples", name, "--data", "Digits", "--data.image_size", "null", *options, f"{name}.json"
        )
        assert said.status == 0, said.err
    model, folder, array = (json.loads(Path(f"{name}.json").read_text()) for name in ("model", "folder", "array.npz"))
    assert folder["metrics"] == array["metrics"] == model["metrics"]
    assert folder["samples"]["sha256"] == array["samples"]["sha256"]
    unlike = {key for key, value in model["protocol"].items() if folder["protocol"][key] != value}
    assert unlike == {"weights", "hash"} and folder["protocol"]["weights"] == "given samples"
    assert folder["protocol"]["num_samples"] == 60


def test_mistakes_of_the_command_are_said_in_one_line(lit_gen, tmp_path):
    Path("folder").mkdir()
    Image.new("L", (32, 32)).save("folder/0.png")
    Image.new("L", (32, 31)).save("folder/1.png")
    data = ("--data", "Digits", "--metrics", "fid", "--device", "cpu")
    for arguments, words in (
        (("folder",), "--data is missing"),
        (("folder", *data, "--ckpt_path", "last"), "both given"),
        (("folder", *data, "--num_samples", 3), "--num_samples is 3, but 'folder' holds 2 images"),
        (("folder", *data), "folder/1.png is 31×32"),
        (("folder", *data, "--repeats", 2), "--repeats is 2, but given samples are drawn once"),
        (("folder", *data, "--guidance", 2), "--guidance is for a model that draws"),
        (("folder", *data, "--sampler", "DDIM"), "--sampler is for a model that draws"),
        (("folder", *data, "--classifier_guidance", 2), "--classifier_guidance is for a model that draws"),
        (("folder", *data[:3], "fid_class"), "given samples have no classes, which fid_class needs"),
        (("folder", *data, "--data.image_size", "28"), "folder/0.png is 32×32"),
        (("nowhere", *data), "there is no 'nowhere'"),
    ):
        said = lit_gen("evaluate", "--samples", *arguments)
        assert said.status == 2, (arguments, said)
        assert words in said.err and said.err.count("\n") == 1, (arguments, said.err)
