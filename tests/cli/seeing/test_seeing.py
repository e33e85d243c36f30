"""Maps, planes, reconstructions, and ways between real images, of a model whose encoder is known."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch

from lit_gen.commands.diagnose.encoded import encoded, some_images
from lit_gen.commands.diagnose.latents import LatentModel
from lit_gen.commands.diagnose.manifold import principal_plane
from lit_gen.datamodules import Digits, Points2D
from lit_gen.functional.quantize import from_uint8, to_uint8


def digits(split: str = "test") -> dict[str, torch.Tensor]:
    return next(iter(Digits(image_size=None).batches(split, 2000)))


def test_a_map_of_a_plane_is_the_latents_themselves(diagnose, table, check_files, linear):
    model = linear(2)
    said = diagnose("map", "--num_images", 50)
    check_files("map.png", "map.csv")
    rows, batch = table("map.csv"), digits()
    assert len(rows) == 50 and {row["way"] for row in rows} == {"plain"}
    places = [int(row["index"]) for row in rows]
    assert places == [i * len(batch["image"]) // 50 for i in range(50)]
    z = model.encode(from_uint8(batch["image"][places])).detach()
    assert torch.allclose(torch.tensor([[float(row["x"]), float(row["y"])] for row in rows]), z, rtol=1e-4, atol=1e-4)
    assert [int(row["label"]) for row in rows] == batch["label"][places].tolist()
    assert "have the class of most of their 10 nearest" in said.out


def test_a_map_of_more_numbers_is_projected(diagnose, table, check_files, linear):
    linear(6)
    said = diagnose("map", "--num_images", 40, "--split", "val")
    rows = table("map.csv")
    ways = ["pca", "tsne"] + (["umap"] if importlib.util.find_spec("umap") else [])
    assert [row["way"] for row in rows[::40]] == ways
    assert ("umap-learn is not installed" in said.out) == ("umap" not in ways)
    x = torch.tensor([[float(row["x"]), float(row["y"])] for row in rows[:40]])
    assert x.mean(dim=0).tolist() == pytest.approx([0, 0], abs=1e-3)
    assert float((x[:, 0] * x[:, 1]).sum()) == pytest.approx(0, abs=0.05)  # components do not vary together
    first = Path("out/map.csv").read_text()
    diagnose("map", "--num_images", 40, "--split", "val")
    assert Path("out/map.csv").read_text() == first


def test_classes_that_lie_apart_are_told_apart(diagnose, stand_in):
    """A model that encodes a digit as its class, as well as a pixel can say it."""

    class Knowing(torch.nn.Module):
        image_shape, num_classes, device = (1, 8, 8), None, torch.device("cpu")

        def encode(self, image, label=None):
            (batch,) = [digits()]
            places = [int((batch["image"] == one).flatten(1).all(dim=1).nonzero()[0]) for one in to_uint8(image)]
            angle = batch["label"][places] * math.tau / 10
            return torch.stack([angle.cos(), angle.sin()], dim=1)

    stand_in(Knowing())
    assert "100.0% have the class of most of their 10 nearest" in diagnose("map").out


def test_ways_that_are_not_there(diagnose, linear):
    linear(3)
    assert "did you mean 'tsne'?" in diagnose("map", "--ways", "t-sne", status=2).err
    assert "plain, which is for latents of 2 numbers" in diagnose("map", "--ways", "plain", status=2).err
    if importlib.util.find_spec("umap") is None:
        assert "pip install umap-learn" in diagnose("map", "--ways", "umap", status=2).err


def test_the_plane_of_two_numbers_is_at_equal_shares_of_a_gaussian(diagnose, table, check_files, linear):
    linear(2)
    diagnose("manifold", "--side", 4)
    check_files("manifold.png", "manifold.csv")
    rows = table("manifold.csv")
    assert len(rows) == 16
    normal = torch.distributions.Normal(0, 1)
    share = normal.cdf(torch.tensor([float(row["a"]) for row in rows[:4]]))
    assert share.tolist() == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8], abs=1e-5)
    assert [float(row["b"]) for row in rows[::4]] == [-float(row["a"]) for row in rows[:4]]  # upwards


def test_the_principal_plane_in_closed_form():
    """Numbers of deviations 3, 2 and 0.5, turned; the first two span the plane."""
    q = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0))).Q
    signs = torch.tensor([[a, b, c] for a in (-1.0, 1) for b in (-1.0, 1) for c in (-1.0, 1)])
    plane = principal_plane(signs * torch.tensor([3, 2, 0.5]) @ q + 5)
    assert torch.allclose(plane.origin, torch.full((3,), 5.0), atol=1e-5)
    wanted = q[:2] * torch.tensor([[3.0], [2.0]]) * math.sqrt(8 / 7)  # the deviation of a sample
    assert torch.allclose(plane.directions.abs(), wanted.abs(), atol=1e-4)
    assert plane.share == pytest.approx((9 + 4) / (9 + 4 + 0.25), abs=1e-6)


def test_a_plane_of_the_data(diagnose, table, check_files, linear, monkeypatch):
    model, drawn = linear(5), []
    images = LatentModel.images
    monkeypatch.setattr(LatentModel, "images", lambda self, z: (drawn.append(z), images(self, z))[1])
    said = diagnose("manifold", "--side", 3, "--num_images", 100)
    batch = digits()
    places = [i * len(batch["image"]) // 100 for i in range(100)]
    z = model.encode(from_uint8(batch["image"][places])).detach()
    assert torch.allclose(drawn[0][4], z.mean(dim=0), atol=1e-4)  # the middle of the grid
    assert float(table("manifold.csv")[4]["norm"]) == pytest.approx(float(z.mean(dim=0).norm()), rel=1e-3)
    assert "of the variance of the latents of real images" in said.out
    assert "latents of 2 numbers; the model's have 5" in linear_error(diagnose)


def linear_error(diagnose) -> str:
    from shutil import rmtree

    rmtree("out")
    return diagnose("manifold", "--plane", "prior", status=2).err


def test_reconstructions_are_beside_their_images(diagnose, table, check_files, linear):
    model = linear(20)
    diagnose("reconstructions", "--num_images", 30, "--shown", 5)
    check_files("reconstructions.png", "reconstructions.csv")
    rows, batch = table("reconstructions.csv"), digits()
    places = [int(row["index"]) for row in rows]
    assert places == [i * len(batch["image"]) // 30 for i in range(30)]
    image = batch["image"][places]
    with torch.no_grad():
        given = to_uint8(model.generate(model.encode(from_uint8(image))))
    error = (given.double() - image.double()) / 255
    wanted = -10 * error.square().mean(dim=(1, 2, 3)).log10()
    assert [float(row["psnr"]) for row in rows] == pytest.approx(wanted.tolist(), rel=1e-4)
    assert [float(row["l1"]) for row in rows] == pytest.approx(error.abs().mean(dim=(1, 2, 3)).tolist(), rel=1e-4)


def test_between_real_images(diagnose, table, check_files, linear):
    model = linear(20)
    diagnose("interpolate", "--real", "test", "--images", 3, 0, 7, "--columns", 4, "--frames", 2)
    check_files("interpolate.png", "interpolate.csv", "interpolate.gif")
    rows = table("interpolate.csv")
    z = model.encode(from_uint8(digits()["image"][[3, 0, 7]])).detach()
    norms = [float(row["norm"]) for row in rows]
    assert norms[0] == pytest.approx(float(z[0].norm()), rel=1e-4)
    assert norms[-1] == pytest.approx(float(z[2].norm()), rel=1e-4)


def test_single_numbers_of_a_real_image(diagnose, table, check_files, linear):
    model = linear(5)
    diagnose("traverse", "--real", "val", "--image", 4, "--dims", 0, -1, "--columns", 3)
    z = model.encode(from_uint8(digits("val")["image"][4:5])).detach()[0]
    own = [float(row["own_value"]) for row in table("traverse.csv")]
    assert own == pytest.approx([*[float(z[0])] * 3, *[float(z[-1])] * 3], rel=1e-4)


def test_a_conditional_model_is_told_the_class_of_a_real_image(diagnose, linear):
    model = linear(5, num_classes=10)
    label = digits()["label"][[3, 0]].tolist()
    diagnose("interpolate", "--real", "test", "--images", 3, 0, "--columns", 2, "--frames", 1)
    assert model.told == [label[0]] * 4 + label
    model.told.clear()
    diagnose("traverse", "--real", "test", "--image", 3, "--dims", 0, "--columns", 2)
    assert set(model.told) == {label[0]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("map",), "cannot tell the latents of images: this diagnosis needs a model with an encoder"),
        (("manifold",), "cannot tell the latents of images"),
        (("manifold", "--plane", "prir"), "--plane is 'prir', and must be one of prior, data"),
        (("reconstructions",), "GAN of '"),
        (("interpolate", "--real", "test"), "cannot tell the latents of images"),
        (("traverse", "--real", "test"), "cannot tell the latents of images"),
        (("traverse", "--data.batch_size", 3), "--data matters only with --real SPLIT"),
        (("disentanglement",), "the images of digits have no known factors"),
        (("features",), "cannot tell the latents of images"),
        (("features", "--split", "train"), "must be test or val"),
        (("features", "--labels_per_class", 0), "at least 1"),
        (("map", "--num_images", 5), "--num_images is 5, and must be at least 11"),
    ],
)
def test_a_model_without_an_encoder_is_told_so(diagnose, arguments, message):
    assert message in diagnose(*arguments, status=2).err


def test_images_that_are_not_there(diagnose, linear):
    linear(5)
    said = diagnose("interpolate", "--real", "test", "--images", 0, 100_000, status=2)
    assert "--images is 100000, but the split test of digits has images 0 to " in said.err
    assert "there is no split 'tst'" in diagnose("traverse", "--real", "tst", status=2).err


def test_an_autoencoder_has_no_latents_but_those_of_images(diagnose, table, coder):
    """What has no distribution of latents can still be asked for images of some."""
    model = coder(2)
    assert "Coder has no distribution that latents" in diagnose("traverse", status=2).err
    assert "has no distribution of latents" in diagnose("manifold", "--plane", "prior", status=2).err
    diagnose("manifold", "--side", 3)
    diagnose("traverse", "--real", "test")
    diagnose("interpolate", "--real", "test", "--frames", 0)
    z = model.encode(from_uint8(digits()["image"])).detach()
    assert float(table("manifold.csv")[4]["norm"]) == pytest.approx(float(z.mean(dim=0).norm()), rel=1e-3)


def test_points_are_encoded_as_they_are(coder):
    model = coder(4)
    model.weight, model.image_shape = torch.nn.Parameter(torch.eye(2)), (2, 1, 1)
    data = Points2D(num_train=64, num_val=32, num_test=32)
    images = some_images(data, "test", 8)
    assert torch.equal(encoded(model, images), images.image.flatten(1))
