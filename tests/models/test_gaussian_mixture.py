"""The Gaussian mixture: its density, its bound, its samples, and a run of the command line."""

import math
from pathlib import Path

import pytest
import torch
from sklearn.mixture import GaussianMixture as Mixture
from torch.distributions import MultivariateNormal

import lit_gen
from lit_gen.__main__ import main
from lit_gen.contracts import SupportsLogProb, SupportsSample
from lit_gen.errors import UserError
from lit_gen.functional.quantize import from_uint8
from lit_gen.models.gaussian_mixture import GaussianMixture
from lit_gen.training.seeding import generators


def _images(num: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Two kinds of images, dark and bright, whose numbers hang together."""
    generator = torch.Generator().manual_seed(0)
    base = torch.where(torch.arange(num) % 2 == 0, 60.0, 180.0)
    shared, own = torch.randn(num, 2, generator=generator), torch.randn(num, math.prod(shape), generator=generator)
    mix = torch.randn(2, math.prod(shape), generator=generator)
    return (base[:, None] + 15 * shared @ mix + 5 * own).clamp(0, 255).round().to(torch.uint8).unflatten(1, shape)


def test_the_density_is_scikit_learns_where_all_axes_are_kept() -> None:
    shape = (1, 2, 2)
    image = _images(400, shape)
    model = GaussianMixture(shape, num_components=3, num_axes=4)
    model.fit_to(image)
    y = torch.rand(6, *shape).double() * 2 - 1
    theirs = Mixture(3, reg_covar=1e-4, init_params="k-means++", random_state=0)
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
    theirs.fit((((image + noise) / 128 - 1).flatten(1).double() - model.centre).numpy() @ model.axes.numpy().T)
    z = (y.flatten(1) - model.centre) @ model.axes.T
    torch.testing.assert_close(
        model.log_density(y), torch.as_tensor(theirs.score_samples(z.numpy())), atol=1e-3, rtol=0
    )


def test_with_fewer_axes_it_is_a_gaussian_with_noise_across_them() -> None:
    shape = (3, 2, 2)
    model = GaussianMixture(shape, num_components=1, num_axes=2)
    model.fit_to(_images(400, shape) // 4 + 96)  # far from the values that samples are clamped to
    factor = model.axes.T @ model.factors[0]
    across = torch.eye(12).double() - model.axes.T @ model.axes
    covariance = factor @ factor.T + model.noise_std.square() * across
    gaussian = MultivariateNormal(model.centre + model.means[0] @ model.axes, covariance)
    y = torch.rand(5, *shape).double() * 2 - 1
    torch.testing.assert_close(model.log_density(y), gaussian.log_prob(y.flatten(1)))
    model.draw_noise = True
    torch.manual_seed(0)
    drawn = (((model.sample(20_000).double() + 1) * 127.5) + 0.5) / 128 - 1
    torch.testing.assert_close(drawn.flatten(1).T.cov(), covariance, atol=0.002, rtol=0)


def test_probabilities_of_256_values_add_up_to_less_than_one_and_nearly_that() -> None:
    model = GaussianMixture((1, 1, 1), num_components=2, num_axes=1)
    model.fit_to(_images(400, (1, 1, 1)))
    values = from_uint8(torch.arange(256, dtype=torch.uint8))[:, None, None, None]
    torch.manual_seed(0)
    log_p = torch.stack([model.log_prob(values) for _ in range(100)]).mean(0)
    assert 0.97 < float(log_p.exp().sum()) <= 1


def test_samples_and_probabilities_depend_on_their_own_noise() -> None:
    shape = (1, 5, 3)
    image = _images(200, shape)
    model = GaussianMixture(shape, num_components=4, num_axes=3, draw_noise=True)
    assert isinstance(model, SupportsSample) and isinstance(model, SupportsLogProb)
    with pytest.raises(UserError, match="has not been fitted"):
        model.sample(1)
    model.fit_to(image)
    whole = model.sample(5, None, generators(0, range(5)))
    torch.testing.assert_close(model.sample(1, None, generators(0, [3]))[0], whole[3])
    assert whole.shape == (5, *shape) and whole.abs().max() <= 1
    x = from_uint8(image[:5])
    told = model.log_prob(x, None, generators(0, range(5)))
    torch.testing.assert_close(model.log_prob(x[2:3], None, generators(0, [2]))[0], told[2])
    assert told.mean() > model.log_prob(torch.rand_like(x) * 2 - 1).mean() and (told < 0).all()


def test_a_run_is_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    how = ["--model", "GaussianMixture", "--model.num_components", "5", "--model.num_axes", "8", "--data", "Digits"]
    how += ["--trainer.max_steps", "1", "--trainer.val_check_interval", "1", "--trainer.accelerator", "cpu"]
    how += ["--evaluation.metrics", "[bpd]", "--checkpoint.monitor", "nll/held_out", "--data.image_size", "8"]
    assert main(["fit", *how]) == 0
    (run,) = (tmp_path / "runs").glob("*/version_0")
    model = lit_gen.load(run / "checkpoints" / "best.ckpt")
    assert float(model.weights.sum()) == pytest.approx(1)
    assert model.sample(3).shape == (3, *model.image_shape)
    assert list((run / "samples").glob("*.png"))


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="num_axes is 9, and must be 1 to 4"):
        GaussianMixture((1, 2, 2), num_axes=9)
    with pytest.raises(UserError, match="10 images are too few for 50 Gaussians"):
        GaussianMixture((1, 2, 2), num_axes=4).fit_to(_images(10, (1, 2, 2)))
