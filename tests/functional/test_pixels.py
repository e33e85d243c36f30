"""Distributions of pixels: they add up to 1, and draws come from them."""

import math

import pytest
import torch
from scipy.special import expit

from lit_gen.errors import UserError
from lit_gen.functional.binary_pixels import BinaryPixels
from lit_gen.functional.categorical_pixels import CategoricalPixels
from lit_gen.functional.logistic_mixture import LogisticMixturePixels
from lit_gen.functional.pixels import PixelDistribution

EIGHT_BIT = torch.arange(256, dtype=torch.float64) / 127.5 - 1


def _theta(pixels: PixelDistribution, channels: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    size = (1, pixels.layout(channels).num_outputs, 1, 1)
    return scale * torch.randn(size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("pixels", [CategoricalPixels(), LogisticMixturePixels(3)], ids=["categories", "logistics"])
def test_probabilities_of_256_values_add_up_to_one(pixels: PixelDistribution, scale: float) -> None:
    theta = _theta(pixels, 1, scale)
    log_prob = pixels.log_prob(EIGHT_BIT.view(256, 1, 1, 1), theta.expand(256, -1, 1, 1))
    assert log_prob.shape == (256, 1, 1)
    torch.testing.assert_close(log_prob.exp().sum(), torch.tensor(1.0, dtype=torch.float64), atol=1e-12, rtol=0)


def test_probabilities_of_all_colours_add_up_to_one() -> None:
    """Of two channels, the second of them conditioned on the first."""
    pixels = LogisticMixturePixels(2)
    theta = _theta(pixels, 2)
    x = torch.cartesian_prod(EIGHT_BIT, EIGHT_BIT).view(-1, 2, 1, 1)
    p = pixels.log_prob(x, theta.expand(len(x), -1, 1, 1)).exp().view(256, 256)
    assert abs(float(p.sum()) - 1) < 1e-12
    first, second = p.sum(dim=1), p.sum(dim=0)
    assert (p - first[:, None] * second).abs().max() > 1e-5, "channels are independent"


def test_logistic_mixtures_are_their_formula() -> None:
    pixels, channels = LogisticMixturePixels(4), 3
    theta = 0.5 * _theta(pixels, channels)
    level = torch.tensor([0, 97, 255])
    x = (level / 127.5 - 1).double()
    logits, means, log_scales, alpha = theta.flatten().view(-1, 4).split([1, 3, 3, 3])
    weights = logits[0].softmax(0)
    total = 0.0
    for m in range(4):
        a = alpha[:, m].tanh()
        mean = [means[0, m], means[1, m] + a[0] * x[0], means[2, m] + a[1] * x[0] + a[2] * x[1]]
        product = weights[m]
        for c in range(3):
            s = math.exp(log_scales[c, m])
            upper = 1.0 if level[c] == 255 else expit(float((x[c] + 1 / 255 - mean[c]) / s))
            lower = 0.0 if level[c] == 0 else expit(float((x[c] - 1 / 255 - mean[c]) / s))
            product = product * (upper - lower)
        total = total + product
    found = pixels.log_prob(x.view(1, 3, 1, 1), theta)
    torch.testing.assert_close(found.flatten()[0], total.log(), rtol=1e-10, atol=0)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_categories_are_drawn_as_often_as_they_should(temperature: float) -> None:
    pixels, num = CategoricalPixels(8), 80000
    theta = _theta(pixels, 1)
    u = ((torch.arange(num, dtype=torch.float64) + 0.5) / num)[:, None]
    x = pixels.draw(theta.view(1, -1).expand(num, -1), u, temperature)
    found = pixels.level(x).flatten().bincount(minlength=8) / num
    torch.testing.assert_close(found.double(), (theta.flatten() / temperature).softmax(0), atol=2 / num, rtol=0)


def test_logistics_are_drawn_as_often_as_they_should() -> None:
    pixels, num = LogisticMixturePixels(1), 400000
    theta = torch.tensor([0.3, -0.2, -2.0], dtype=torch.float64)
    u = torch.zeros(num, 2, dtype=torch.float64)
    u[:, 1] = (torch.arange(num) + 0.5) / num
    x = pixels.draw(theta.expand(num, -1), u)
    found = ((x + 1) * 127.5).round().long().flatten().bincount(minlength=256) / num
    p = pixels.log_prob(EIGHT_BIT.view(256, 1, 1, 1), theta.view(1, 3, 1, 1).expand(256, -1, 1, 1)).exp().flatten()
    torch.testing.assert_close(found.double(), p, atol=3 / num, rtol=0)


def test_components_and_channels_are_drawn_together() -> None:
    """Two components, far apart: both channels come from the same one, and the second channel follows the first."""
    pixels = LogisticMixturePixels(2)
    #                     weights | means: c0, c1     | log-scales          | α
    theta = torch.tensor([0.0, 0.0, -0.5, 0.5, -0.4, 0.4, -6.0, -6.0, -6.0, -6.0, 0.0, 0.0], dtype=torch.float64)
    u = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = pixels.draw(theta.expand(1000, -1), u)
    assert (x[:, 0].sign() == x[:, 1].sign()).all() and 400 < int((x[:, 0] > 0).sum()) < 600
    theta[-2:] = 20.0  # α = 1
    y = pixels.draw(theta.expand(1000, -1), u)
    torch.testing.assert_close(y[:, 1], x[:, 1] + x[:, 0], atol=1e-2, rtol=0)
    level = (y + 1) * 127.5
    torch.testing.assert_close(level, level.round(), atol=1e-9, rtol=0)


@pytest.mark.parametrize("pixels", [BinaryPixels(), CategoricalPixels(4), LogisticMixturePixels(2)])
def test_extreme_uniform_numbers_give_values(pixels: PixelDistribution) -> None:
    layout = pixels.layout(1)
    for u in (0.0, 1 - 2**-24):
        x = pixels.draw(torch.zeros(1, layout.num_outputs), torch.full((1, layout.num_uniforms), u))
        assert x.shape == (1, 1) and x.abs().max() <= 1


def test_reduced_levels_are_of_equally_many_values() -> None:
    image = (torch.arange(256) / 127.5 - 1).view(1, 1, 16, 16)
    pixels = CategoricalPixels(8)
    x = pixels.observe(image)
    assert torch.equal(pixels.level(x).flatten(), torch.arange(256) // 32)
    assert torch.equal(pixels.observe(x), x), "what was observed is observed again as it is"
    assert pixels.of == "images of 8 levels" and CategoricalPixels().of == "8-bit images"
    assert torch.equal(CategoricalPixels().level(image).flatten(), torch.arange(256))
    with pytest.raises(UserError, match="power of 2"):
        CategoricalPixels(10).observe(image)


@pytest.mark.parametrize("levels", [2, 10, 512])
def test_codes_pass_through_values(levels: int) -> None:
    pixels = CategoricalPixels(levels, one_hot=True)
    codes = torch.arange(levels).view(1, 1, 1, levels)
    x = pixels.values(codes)
    assert x.abs().max() <= 1 and torch.equal(pixels.level(x), codes)
    planes = pixels.planes(x)
    assert planes.shape == (1, levels, 1, levels) and torch.equal(planes[0, :, 0], torch.eye(levels))
    both = pixels.planes(torch.cat([x, x.flip(3)], dim=1))
    assert torch.equal(both[:, :levels], planes) and torch.equal(both[:, levels:], planes.flip(3))
    assert pixels.layout(2)[:3] == (2, 2 * levels, 2 * levels)


def test_binary_pixels_are_bernoulli() -> None:
    pixels = BinaryPixels()
    x, theta = torch.tensor([[-1.0, 1.0]]).view(1, 2, 1, 1), torch.tensor([[0.7, -0.3]]).view(1, 2, 1, 1)
    p = torch.tensor([0.7, -0.3]).sigmoid()
    torch.testing.assert_close(pixels.log_prob(x, theta).flatten()[0], ((1 - p[0]) * p[1]).log())
    assert pixels.draw(torch.tensor([[0.0], [0.0]]), torch.tensor([[0.49], [0.51]])).tolist() == [[1.0], [-1.0]]
    assert pixels.draw(torch.tensor([[1.0]]), torch.tensor([[0.8]]), 0.5).item() == 1.0  # σ(1) < 0.8 < σ(2)
