"""Dequantisation: the bound is what it should be, noise has the density that is said, and images come back."""

import math

import pytest
import torch

from lit_gen.errors import UserError
from lit_gen.functional.quantize import from_uint8, to_uint8
from lit_gen.nn.dequantisation import NoDequantisation, UniformDequantisation, VariationalDequantisation
from lit_gen.training.seeding import generators

SHAPE = (2, 3, 5)
EVERY_VALUE = torch.arange(256, dtype=torch.uint8)[:, None, None, None].expand(-1, *SHAPE)


def variational() -> VariationalDequantisation:
    torch.manual_seed(0)
    made = VariationalDequantisation(SHAPE, features=4, blocks=1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made.eval()


@pytest.mark.parametrize("make", [lambda: UniformDequantisation(SHAPE), variational], ids=["uniform", "variational"])
def test_every_value_comes_back(make) -> None:
    made, image = make(), from_uint8(EVERY_VALUE)
    y, _ = made(image)
    assert (y >= 0).all() and (y <= 1).all()
    assert (y != made.middle(image)).any() and len(y.unique()) > 3000
    for at in (y, made.middle(image)):
        assert torch.equal(to_uint8(made.image(at.clamp(max=1 - 1e-6))), EVERY_VALUE)


@pytest.mark.parametrize("make", [lambda: UniformDequantisation(SHAPE), variational], ids=["uniform", "variational"])
def test_noise_is_each_images_own(make) -> None:
    made, image = make(), from_uint8(EVERY_VALUE[10:14])
    y, missing = made(image, generators(0, range(4)))
    one, one_missing = made(image[2:3], generators(0, [2]))
    torch.testing.assert_close(one[0], y[2])
    torch.testing.assert_close(one_missing[0], missing[2])
    assert not torch.allclose(y[0] - image[0], y[2] - image[2])


def test_uniform_noise_loses_nothing_of_a_uniform_density() -> None:
    """A density of 1 on [0, 1]^D knows nothing: 8 bits per dimension, whatever the noise."""
    _, missing = UniformDequantisation(SHAPE)(from_uint8(EVERY_VALUE))
    torch.testing.assert_close(-missing / (30 * math.log(2)), torch.full((256,), 8.0))


def test_the_variational_density_is_that_of_its_noise() -> None:
    """E_q[1/q] over the cube is its volume, 1: the importance weights of a uniform density average to 256^−D."""
    torch.manual_seed(1)
    made = VariationalDequantisation((1, 1, 2), couplings=2, features=4, blocks=1).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        image = torch.full((200_000, 1, 1, 2), 0.2, dtype=torch.float64)
        _, missing = made(image, torch.Generator().manual_seed(0))
    weights = (missing + 2 * math.log(256)).exp()
    assert weights.mean().item() == pytest.approx(1.0, abs=5 * weights.std().item() / math.sqrt(200_000))
    assert weights.std() < 3
    # By Jensen, the bound of a uniform density is below what it is.
    assert missing.mean() < -2 * math.log(256)


def test_points_are_left_alone() -> None:
    points = 30 * torch.randn(5, 2, 1, 1, dtype=torch.float64)
    made = NoDequantisation((2, 1, 1))
    y, missing = made(points)
    torch.testing.assert_close(made.image(y), points)
    torch.testing.assert_close(missing, torch.full((5,), -2 * math.log(2), dtype=torch.float64))


def test_one_pixel_is_too_few() -> None:
    with pytest.raises(UserError, match="2 pixels"):
        VariationalDequantisation((3, 1, 1))
