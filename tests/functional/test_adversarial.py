"""Adversarial losses against their definitions and their known optimum."""

import math

import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.adversarial import (
    AdversarialLoss,
    HingeLoss,
    LeastSquaresLoss,
    MinimaxLoss,
    NonSaturatingLoss,
    RelativisticPairingLoss,
    WassersteinLoss,
    discriminator_cross_entropy,
)

real = torch.tensor([-2.0, 0.0, 1.5], dtype=torch.float64)
fake = torch.tensor([0.3, -4.0, 2.0], dtype=torch.float64)


@pytest.mark.parametrize("y", [1.0, 0.9, 0.5])
def test_discriminator_loss_is_cross_entropy_with_only_the_real_side_smoothed(y: float) -> None:
    d_real, d_fake = real.sigmoid(), fake.sigmoid()
    expected = -(y * d_real.log() + (1 - y) * (1 - d_real).log()).mean() - (1 - d_fake).log().mean()
    torch.testing.assert_close(discriminator_cross_entropy(real, fake, y), expected)
    for loss in (NonSaturatingLoss(y), MinimaxLoss(y)):
        torch.testing.assert_close(loss.discriminator(real, fake), expected)


def test_generator_losses_are_their_definitions() -> None:
    torch.testing.assert_close(NonSaturatingLoss().generator(fake), -fake.sigmoid().log().mean())
    torch.testing.assert_close(MinimaxLoss().generator(fake), (1 - fake.sigmoid()).log().mean())


@pytest.mark.parametrize("loss", [NonSaturatingLoss(), MinimaxLoss()])
def test_losses_and_gradients_stay_finite_at_saturation(loss: NonSaturatingLoss | MinimaxLoss) -> None:
    logits = torch.tensor([-1e4, 1e4], requires_grad=True)
    total = loss.discriminator(logits, logits) + loss.generator(logits)
    (gradient,) = torch.autograd.grad(total, logits)
    assert torch.isfinite(total)
    assert torch.isfinite(gradient).all()


def test_only_the_non_saturating_gradient_survives_a_sure_discriminator() -> None:
    def slope(loss: NonSaturatingLoss | MinimaxLoss) -> float:
        logit = torch.tensor([-12.0], requires_grad=True)
        return torch.autograd.grad(loss.generator(logit), logit)[0].abs().item()

    assert slope(NonSaturatingLoss()) > 0.99
    assert slope(MinimaxLoss()) < 1e-4


def test_the_optimal_discriminator_is_the_density_ratio() -> None:
    """On two states with probabilities p and q, gradient descent finds D* = p / (p + q) and the loss 2 log 2 − 2 JS."""
    p, q = torch.tensor([0.8, 0.2], dtype=torch.float64), torch.tensor([0.3, 0.7], dtype=torch.float64)
    logits = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    counts_p, counts_q = (p * 1000).round().long(), (q * 1000).round().long()

    def value() -> Tensor:
        return discriminator_cross_entropy(logits.repeat_interleave(counts_p), logits.repeat_interleave(counts_q))

    optimizer = torch.optim.LBFGS([logits], max_iter=100, tolerance_grad=1e-12, tolerance_change=1e-16)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = value()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(logits.detach().sigmoid(), p / (p + q), atol=1e-6, rtol=0)
    m = (p + q) / 2
    divergence = 0.5 * (p * (p / m).log()).sum() + 0.5 * (q * (q / m).log()).sum()
    assert value().item() == pytest.approx(2 * math.log(2) - 2 * divergence.item(), abs=1e-9)


@pytest.mark.parametrize("y", [0.0, -0.1, 1.1])
def test_a_senseless_label_is_refused(y: float) -> None:
    with pytest.raises(UserError, match="real_label"):
        NonSaturatingLoss(y)


def test_least_squares_at_hand_computed_logits() -> None:
    loss = LeastSquaresLoss()
    # real − 1: −3, −1, ½ → 9 + 1 + ¼; fake²: 0.09 + 16 + 4; fake − 1: −0.7, −5, 1 → 0.49 + 25 + 1
    assert loss.discriminator(real, fake).item() == pytest.approx((10.25 + 20.09) / 6)
    assert loss.generator(fake).item() == pytest.approx(26.49 / 6)
    # Smoothed by 0.1: −2.9, −0.9, 0.6, and the side of the generated images as before.
    assert LeastSquaresLoss(0.9).discriminator(real, fake).item() == pytest.approx((8.41 + 0.81 + 0.36 + 20.09) / 6)


def test_wasserstein_is_the_difference_of_means() -> None:
    loss = WassersteinLoss()
    assert loss.discriminator(real, fake).item() == pytest.approx(-1.7 / 3 + 0.5 / 3)
    assert loss.generator(fake).item() == pytest.approx(1.7 / 3)
    torch.testing.assert_close(loss.discriminator(real + 5, fake + 5), loss.discriminator(real, fake))


def test_hinge_counts_within_its_margins_only() -> None:
    loss = HingeLoss()
    # 1 − real: 3, 1, −½ → 3 + 1 + 0; 1 + fake: 1.3, −3, 3 → 1.3 + 0 + 3
    assert loss.discriminator(real, fake).item() == pytest.approx((4 + 4.3) / 3)
    logits = torch.tensor([-1.5, -0.5, 0.5, 1.5], requires_grad=True)
    by_real = torch.autograd.grad(loss.discriminator(logits, torch.full((4,), -2.0)), logits)[0]
    by_fake = torch.autograd.grad(loss.discriminator(torch.full((4,), 2.0), logits), logits)[0]
    assert by_real.tolist() == [-0.25, -0.25, -0.25, 0.0]
    assert by_fake.tolist() == [0.0, 0.25, 0.25, 0.25]
    # The generator's side has no margin.
    assert torch.autograd.grad(loss.generator(logits), logits)[0].tolist() == [-0.25] * 4


def test_relativistic_pairing_is_antisymmetric_and_pairs_rows() -> None:
    loss = RelativisticPairingLoss()
    expected = sum(math.log1p(math.exp(f - r)) for f, r in zip(fake.tolist(), real.tolist(), strict=True)) / 3
    assert loss.discriminator(real, fake).item() == pytest.approx(expected)
    torch.testing.assert_close(loss.generator(fake, real), loss.discriminator(fake, real))
    torch.testing.assert_close(loss.discriminator(real + 7, fake + 7), loss.discriminator(real, fake))
    assert not torch.allclose(loss.discriminator(real, fake), loss.discriminator(real, fake.flip(0)))
    # softplus(−t) − softplus(t) = −t: what one player loses the other gains, but for the distance itself.
    difference = loss.discriminator(real, fake) - loss.generator(fake, real)
    torch.testing.assert_close(difference, (fake - real).mean())


def test_the_minimax_players_have_one_value_between_them() -> None:
    logits = fake.clone().requires_grad_()
    by_d = torch.autograd.grad(MinimaxLoss().discriminator(real, logits), logits)[0]
    by_g = torch.autograd.grad(MinimaxLoss().generator(logits), logits)[0]
    torch.testing.assert_close(by_g, -by_d)


ALL: list[AdversarialLoss] = [
    NonSaturatingLoss(),
    MinimaxLoss(),
    LeastSquaresLoss(),
    WassersteinLoss(),
    HingeLoss(),
    RelativisticPairingLoss(),
]


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: type(loss).__name__)
def test_every_loss_is_a_mean_that_pulls_logits_the_right_way(loss: AdversarialLoss) -> None:
    r, f = (torch.zeros(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    up, down = torch.autograd.grad(loss.discriminator(r, f), [r, f], allow_unused=True)
    assert (up < 0).all(), "the discriminator raises real logits"
    assert down is None or (down >= 0).all(), "and lowers those of generated images"
    value = loss.generator(f, r.detach() if loss.relativistic else None)
    assert (torch.autograd.grad(value, f)[0] < 0).all(), "the generator raises them"
    doubled = loss.discriminator(real.repeat(2), fake.repeat(2))
    torch.testing.assert_close(doubled, loss.discriminator(real, fake))
    assert loss.relativistic is isinstance(loss, RelativisticPairingLoss)


P, Q = torch.tensor([0.8, 0.2], dtype=torch.float64), torch.tensor([0.3, 0.7], dtype=torch.float64)


def _optimum(loss: AdversarialLoss) -> tuple[Tensor, float]:
    """Minimises the discriminator's loss over the logits of two states, which have probabilities P and Q."""
    logits = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    r, f = ((weights * 10).round().long() for weights in (P, Q))
    # Every pair of a real and a generated state, so that pairing losses see the product of both distributions.
    real_states = torch.arange(2).repeat_interleave(r).repeat_interleave(10)
    fake_states = torch.arange(2).repeat_interleave(f).repeat(10)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-16)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss.discriminator(logits[real_states], logits[fake_states])
        value.backward()
        return value

    optimizer.step(closure)
    return logits.detach(), closure().item()


def test_the_least_squares_optimum_is_the_density_ratio_itself() -> None:
    """l* = (b p + a q) / (p + q) with a = 0 and b = 1 (Mao et al., equation (5))."""
    logits, _ = _optimum(LeastSquaresLoss())
    torch.testing.assert_close(logits, P / (P + Q), atol=1e-6, rtol=0)


def test_one_sided_smoothing_scales_the_optimum() -> None:
    """D* = y p / (p + q): smoothing both sides would leave q in the numerator (Salimans et al., section 3.4)."""
    logits, _ = _optimum(NonSaturatingLoss(0.9))
    torch.testing.assert_close(logits.sigmoid(), 0.9 * P / (P + Q), atol=1e-6, rtol=0)


def test_the_relativistic_optimum_orders_states_by_their_density_ratio() -> None:
    """On two states the pairs' loss has its minimum where e^(l₁ − l₂) = p₁q₂ / (p₂q₁)."""
    logits, _ = _optimum(RelativisticPairingLoss())
    odds = (P[0] * Q[1]) / (P[1] * Q[0])
    assert (logits[0] - logits[1]).item() == pytest.approx(math.log(odds), abs=1e-5)


def test_the_hinge_optimum_is_twice_the_total_variation_short_of_two() -> None:
    """min = 2 − Σ|p − q|, at the margins' signs; by exhaustion, as the loss is flat beyond the margins."""
    grid = torch.linspace(-2, 2, 81, dtype=torch.float64)
    loss = HingeLoss()
    a, b = torch.meshgrid(grid, grid, indexing="ij")
    values = P[0] * (1 - a).relu() + P[1] * (1 - b).relu() + Q[0] * (1 + a).relu() + Q[1] * (1 + b).relu()
    assert values.min().item() == pytest.approx(2 - (P - Q).abs().sum().item())
    # The same expectation by the loss itself, over samples in those proportions.
    r, f = ((weights * 10).round().long() for weights in (P, Q))
    best = torch.tensor([1.0, -1.0], dtype=torch.float64)
    value = loss.discriminator(best.repeat_interleave(r), best.repeat_interleave(f))
    assert value.item() == pytest.approx(values.min().item())
