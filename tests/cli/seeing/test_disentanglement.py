"""Scores of codes that are as good, or as useless, as a code can be, on sprites whose factors are pixels."""

import itertools

import numpy
import pytest
import torch

from lit_gen.datamodules import Sprites

NAMES = ("disentanglement.png", "disentanglement.csv", "disentanglement_information.csv")


@pytest.fixture
def data(tmp_path):
    """The arguments that name sprites of 2×2 pixels, whose red corner tells three factors; the rest is noise."""
    random = numpy.random.default_rng(0)
    factors = numpy.array(list(itertools.product(range(2), range(3), range(4))) * 25, numpy.uint8)
    images = random.integers(0, 256, (len(factors), 2, 2, 3), dtype=numpy.uint8)
    images[:, 0, 0] = factors * 60
    numpy.savez(
        tmp_path / "tiny.npz",
        images=images,
        factors=factors,
        segmentation=images[..., 0] // 86,
        factor_names=["body", "hair", "action"],
    )
    return (
        *("--data", "Sprites", "--data.path", tmp_path / "tiny.npz", "--data.val_size", 0, "--data.test_size", 500),
        *("--split", "test"),
    )


class Pixels(torch.nn.Module):
    """Encodes by chosen values of an image, in some order, turned or not."""

    image_shape, num_classes, device = (3, 2, 2), None, torch.device("cpu")

    def __init__(self, *places: int, turn: bool = False) -> None:
        super().__init__()
        self.places, self.turn = list(places), turn

    def encode(self, image, label=None):
        z = image.flatten(1)[:, self.places] * torch.tensor([1.0, 2.0, 0.5, 1.0])[: len(self.places)]
        generator = torch.Generator().manual_seed(1)
        q = torch.linalg.qr(torch.randn(z.shape[1], z.shape[1], generator=generator)).Q
        return z @ q if self.turn else z


CORNER = (0, 4, 8)  # red, green and blue of the first pixel


def scores(table) -> dict[str, float]:
    return {row["score"]: float(row["mean"]) for row in table("disentanglement.csv")}


def test_a_perfect_code(diagnose, table, check_files, stand_in, data):
    stand_in(Pixels(8, 0, 4))
    said = diagnose("disentanglement", *data, "--repeats", 2)
    check_files(*NAMES)
    found = scores(table)
    assert set(found) == {
        *("MIG", "MIG of body", "MIG of hair", "MIG of action"),
        *("disentanglement", "completeness", "informativeness", "FactorVAE"),
        *("accuracy of body", "accuracy of hair", "accuracy of action"),
    }
    assert found["disentanglement"] > 0.99 and found["completeness"] > 0.99
    assert found["MIG"] > 0.97 and found["informativeness"] == found["FactorVAE"] == 1
    deviations = {row["score"]: row["deviation"] for row in table("disentanglement.csv")}
    assert deviations["MIG"] == "" and float(deviations["FactorVAE"]) == 0
    information = table("disentanglement_information.csv")
    assert len(information) == 9
    told = {row["factor"]: row["latent"] for row in information if float(row["nats"]) > 0.5}
    assert told == {"body": "1", "hair": "2", "action": "0"}
    assert "500 images of tiny (test), 3 latents, factors: body, hair, action" in said.out


def test_a_turned_code_and_one_that_knows_nothing(diagnose, table, stand_in, data):
    stand_in(Pixels(*CORNER, turn=True))
    diagnose("disentanglement", *data, "--repeats", 1)
    turned = scores(table)
    assert turned["MIG"] < 0.6 and turned["disentanglement"] < 0.8 and turned["informativeness"] > 0.9
    stand_in(Pixels(1, 5, 9, 2))
    diagnose("disentanglement", *data, "--repeats", 1)
    ignorant = scores(table)
    assert ignorant["MIG"] < 0.05 and ignorant["disentanglement"] < 0.3
    assert ignorant["informativeness"] < 0.5 and ignorant["FactorVAE"] < 0.5


def test_it_is_seeded(diagnose, table, stand_in, data):
    stand_in(Pixels(*CORNER, turn=True))
    tables = []
    for seed in (1, 1, 2):
        diagnose("disentanglement", *data, "--repeats", 1, "--seed", seed)
        tables.append(table("disentanglement.csv"))
    assert tables[0] == tables[1] != tables[2]


def test_attributes_are_factors_where_there_are_no_others(data):
    from lit_gen.commands.diagnose.factors import _from_attributes, factor_values

    sprites = Sprites(str(data[3]), kind="attributes", val_size=0, test_size=500)
    names, values = factor_values(sprites, "test")
    again, found = _from_attributes(sprites, "test")
    assert list(names) == again and torch.equal(values, found)


def test_few_factors_are_refused(diagnose, stand_in, data):
    stand_in(Pixels(*CORNER))
    one = ("--data.where", '{"hair": 1, "body": 0}')
    assert "have 1 known factor that vary" in diagnose("disentanglement", *data, *one, status=2).err
    assert "fewer than 20 images" in diagnose("disentanglement", *data, "--split", "val", status=2).err
