"""VAEs: bounds on a model whose log p is known, the importance weighted one, warm-up, labels, noise per image."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from lit_gen.contracts import SupportsEncode, SupportsLatents, SupportsLogProb, SupportsReconstruct, SupportsSample
from lit_gen.errors import UserError
from lit_gen.functional.bernoulli import BernoulliLikelihood
from lit_gen.functional.discretized_logistic import DiscretizedLogisticLikelihood
from lit_gen.functional.gaussian_kl import gaussian_kl_terms
from lit_gen.functional.importance_bound import importance_bound
from lit_gen.functional.likelihood import Likelihood
from lit_gen.models.vae import VAE
from lit_gen.training.seeding import generators

SHAPE, NOISE = (1, 2, 2), 0.5


class _Density(Likelihood):
    """Real numbers with Gaussian noise: no images, but a model whose log p(x) is known."""

    def log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        return Normal(theta, NOISE).log_prob(x).sum((-3, -2, -1))

    def mean(self, theta: Tensor) -> Tensor:
        return theta

    def draw(self, theta: Tensor, generator: Any = None) -> Tensor:
        raise NotImplementedError


class _Linear(nn.Module):
    """A matrix and a vector: from latents to images, or from images to means and log-variances."""

    def __init__(self, weight: Tensor, bias: Tensor, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.weight, self.bias, self.shape = nn.Parameter(weight), nn.Parameter(bias), shape

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return (x.flatten(1).to(self.weight.dtype) @ self.weight.T + self.bias).unflatten(1, self.shape)


def _linear_gaussian(log_std: float, **settings: Any) -> tuple[VAE, MultivariateNormal, Tensor]:
    """A model p(x) = N(b, WWᵀ + s²), with an encoder of the exact means, whose deviations are e^log_std times too wide.

    W's columns are orthogonal, so that the posterior is diagonal.
    """
    w = torch.tensor([[1.0, 1.0], [1.0, -1.0], [0.5, 0.5], [0.5, -0.5]], dtype=torch.float64)
    b = torch.tensor([0.3, -0.2, 0.1, 0.5], dtype=torch.float64)
    precision = torch.eye(2).double() + w.T @ w / NOISE**2
    to_mean = torch.linalg.solve(precision, w.T / NOISE**2)
    log_variance = -precision.diagonal().log() + 2 * log_std
    weight = torch.cat([to_mean, torch.zeros_like(to_mean)])
    bias = torch.cat([-to_mean @ b, log_variance])
    model = VAE(
        SHAPE,
        encoder=lambda **_: _Linear(weight, bias, (4,)),
        decoder=lambda **_: _Linear(w, b, SHAPE),
        likelihood=_Density(),
        latent_dim=2,
        **settings,
    )
    truth = MultivariateNormal(b, w @ w.T + NOISE**2 * torch.eye(4).double())
    torch.manual_seed(0)
    return model, truth, truth.sample((6,))


def _log_prob(model: VAE, x: Tensor, seed: int) -> Tensor:
    return model.log_prob(x.unflatten(1, SHAPE), None, generators(seed, range(len(x))))


def test_with_the_exact_posterior_every_bound_is_log_p() -> None:
    for num_samples in (1, 60):
        model, truth, x = _linear_gaussian(0.0, log_prob_samples=num_samples)
        torch.testing.assert_close(_log_prob(model, x, 3), truth.log_prob(x), rtol=0, atol=1e-9)


def test_bounds_grow_with_their_samples_towards_log_p() -> None:
    bounds, spread = [], []
    repeats = 300
    for num_samples in (1, 2, 8, 64):
        model, truth, x = _linear_gaussian(0.7, log_prob_samples=num_samples)
        bound = _log_prob(model, x.repeat_interleave(repeats, dim=0), 1).unflatten(0, (len(x), repeats)).mean(1)
        bounds.append(bound.mean())
        spread.append(truth.log_prob(x).mean() - bound.mean())
    assert bounds == sorted(bounds), bounds
    elbo = _elbo(model, x).mean()
    assert elbo < truth.log_prob(x).mean() - 0.5
    assert float(bounds[0]) == pytest.approx(float(elbo), abs=0.1), "one sample has the ELBO's mean"
    assert 0 < spread[3] < 0.2 * spread[1]
    model, truth, x = _linear_gaussian(0.7, log_prob_samples=5000)
    torch.testing.assert_close(_log_prob(model, x, 1), truth.log_prob(x), rtol=0, atol=0.1)


def _elbo(model: VAE, x: Tensor) -> Tensor:
    """E_q[log p(x|z)] − KL(q‖p) in closed form: the mean's likelihood minus ½ tr(WᵀW Σ)/s², and the divergence."""
    with torch.no_grad():
        mean, log_variance = model.encoder(x.unflatten(1, SHAPE)).chunk(2, dim=1)
        likelihood = model.likelihood.log_prob(x.unflatten(1, SHAPE), model.decoder(mean))
        trace = (model.decoder.weight.square().sum(0) * log_variance.exp()).sum(1) / NOISE**2
        standard = Normal(torch.zeros_like(mean), 1.0)
        return likelihood - 0.5 * trace - kl_divergence(Normal(mean, (0.5 * log_variance).exp()), standard).sum(1)


class _Step:
    """As much of a trainer as a loss asks for."""

    def __init__(self, step: int) -> None:
        self.global_step = step


@torch.no_grad()
def _loss(model: VAE, batch: dict[str, Tensor], step: int = 0) -> Tensor:
    model._trainer = _Step(step)  # type: ignore[assignment]
    return model.objective(batch)


def test_losses_are_the_bounds_and_do_not_depend_on_the_batch_size() -> None:
    model, truth, x = _linear_gaussian(0.3)
    many = {"image": x.unflatten(1, SHAPE).repeat(2000, 1, 1, 1)}
    assert float(_loss(model, many)) == pytest.approx(float(-_elbo(model, x).mean()), abs=0.05)
    few = {"image": many["image"][:6]}
    average = sum(_loss(model, few) for _ in range(2000)) / 2000
    assert float(average) == pytest.approx(float(_loss(model, many)), abs=0.1)
    model, truth, x = _linear_gaussian(0.3, num_samples=200)
    assert float(_loss(model, few)) == pytest.approx(float(-truth.log_prob(x).mean()), abs=0.05)


def test_the_divergence_is_what_sampling_gives() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(1, 3).double(), torch.randn(1, 3).double()
    q = Normal(mean, (0.5 * log_variance).exp())
    z = q.sample((200_000,))
    estimate = (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).mean(0)
    torch.testing.assert_close(gaussian_kl_terms(mean, log_variance), estimate, atol=0.03, rtol=0)


def test_beta_rises_over_the_warm_up_and_depends_on_the_step_alone() -> None:
    model, _, x = _linear_gaussian(0.3, beta=2.0, warmup_steps=10)
    batch = {"image": x.unflatten(1, SHAPE)}
    mean, log_variance = model._posterior(batch["image"], None)
    divergence = float(gaussian_kl_terms(mean, log_variance).sum(1).mean())

    def loss(step: int) -> float:
        torch.manual_seed(0)
        return float(_loss(model, batch, step))

    assert loss(9) == loss(500)
    assert loss(9) - loss(0) == pytest.approx(1.8 * divergence)
    assert loss(4) - loss(0) == pytest.approx(0.8 * divergence)


def test_free_bits_cost_no_less_than_they_are() -> None:
    batch = {"image": torch.randn(5, *SHAPE).double()}
    models = [_linear_gaussian(0.3, free_bits=bits)[0] for bits in (0.0, 100.0)]
    losses = []
    for model in models:
        torch.manual_seed(0)
        losses.append(_loss(model, batch))
    mean, log_variance = models[0]._posterior(batch["image"], None)
    divergence = gaussian_kl_terms(mean, log_variance).sum(1).mean()
    torch.testing.assert_close(losses[1] - losses[0], 200 - divergence)


def test_streaming_changes_nothing() -> None:
    torch.manual_seed(0)
    log_weights = 30 * torch.randn(57, 4).double()
    whole = log_weights.logsumexp(0) - math.log(57)
    torch.testing.assert_close(importance_bound(log_weights.split(5)), whole)
    outcomes = [
        _log_prob(_linear_gaussian(0.7, log_prob_samples=130, decoded_at_once=rows)[0], torch.ones(3, 4).double(), 0)
        for rows in (1, 7, 10_000)
    ]
    for outcome in outcomes[1:]:
        torch.testing.assert_close(outcome, outcomes[0])


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("likelihood", [BernoulliLikelihood(), DiscretizedLogisticLikelihood()])
def test_what_is_drawn_for_an_image_depends_on_it_alone(conditional: bool, likelihood: Likelihood) -> None:
    torch.manual_seed(0)
    shape = (1, 5, 7)
    model = VAE(shape, 3, likelihood=likelihood, conditional=conditional, log_prob_samples=70, draw_pixels=True)
    for contract in (SupportsSample, SupportsLatents, SupportsEncode, SupportsReconstruct, SupportsLogProb):
        assert isinstance(model, contract)
    image = torch.rand(4, *shape) * 2 - 1
    label = torch.tensor([0, 1, 2, 0]) if conditional else None
    own = label[2:3] if conditional else None
    calls = {
        "sample": lambda part, y: model.sample(len(part), y, generators(0, part)),
        "log_prob": lambda part, y: model.log_prob(image[list(part)], y, generators(0, part)),
        "reconstruct": lambda part, y: model.reconstruct(image[list(part)], y, generators(0, part)),
        "encode": lambda part, y: model.encode(image[list(part)], y),
    }
    for name, call in calls.items():
        whole = call(range(4), label)
        torch.testing.assert_close(call([2], own)[0], whole[2], msg=name)
        assert whole.isfinite().all() and not torch.allclose(whole[0], whole[3]), name
    assert model.sample(4, label).abs().max() <= 1
    assert model.reconstruct(image, label).shape == image.shape
    assert model.log_prob(image, label).shape == (4,)
    assert (model.log_prob(image, label) < 0).all()
    if conditional:
        assert not torch.allclose(model.encode(image, label), model.encode(image, label.flip(0)))
        with pytest.raises(UserError, match="needs labels"):
            model.log_prob(image)
    else:
        with pytest.raises(UserError, match="unconditional"):
            model.generate(model.latents(1), torch.tensor([0]))


def test_the_mean_of_what_is_generated_is_the_likelihoods() -> None:
    torch.manual_seed(0)
    model = VAE((1, 4, 4), latent_dim=3)
    z = model.latents(1)
    drawn = model.likelihood.draw(model._decoded(z, None).expand(4000, -1, -1, -1))
    torch.testing.assert_close(drawn.mean(0), model.generate(z)[0], atol=0.07, rtol=0)
    assert model.log_prob_of == "dynamically binarised images, importance weighted bound of 500 samples"


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="free_bits"):
        VAE(SHAPE, free_bits=0.1, num_samples=5)
    with pytest.raises(UserError, match=r"model.beta is -1"):
        VAE(SHAPE, beta=-1)
    with pytest.raises(UserError, match=r"model.log_prob_samples is 0"):
        VAE(SHAPE, log_prob_samples=0)
    with pytest.raises(UserError, match="no labels"):
        VAE(SHAPE, conditional=True)
