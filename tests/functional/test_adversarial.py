"""Adversarial losses against their definitions and their known optimum."""

import math

import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.adversarial import MinimaxLoss, NonSaturatingLoss, discriminator_cross_entropy

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
