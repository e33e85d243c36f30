"""LeCam regularization against its equation, with the running means written out."""

import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.lecam import LeCamRegularization
from lit_gen.functional.regularizer import Critique

NOTHING = torch.zeros(4, 1, 1, 1)


def critique(real: Tensor, fake: Tensor) -> Critique:
    return Critique(lambda x, label: x.sum((1, 2, 3)), NOTHING, NOTHING, real_logits=real, fake_logits=fake)


def logits(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, generator=generator) + 1, torch.randn(4, generator=generator) - 2


def test_running_means_and_value_over_several_batches() -> None:
    term = LeCamRegularization(weight=0.7, decay=0.9)
    alpha_r = alpha_f = None
    for step in range(5):
        real, fake = logits(step)
        value = term(critique(real, fake))
        alpha_r = real.mean() if alpha_r is None else 0.9 * alpha_r + 0.1 * real.mean()
        alpha_f = fake.mean() if alpha_f is None else 0.9 * alpha_f + 0.1 * fake.mean()
        torch.testing.assert_close(term.real_mean, alpha_r)
        torch.testing.assert_close(term.fake_mean, alpha_f)
        # Each side is drawn to the other's anchor.
        expected = 0.7 * ((real - alpha_f).square().mean() + (fake - alpha_r).square().mean())
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("step", [0, 1])
def test_an_overflow_leaves_no_trace(step: int) -> None:
    """In fp16 a logit may overflow once; the scaler skips that step, and the next one is as if it had not been."""
    term, other = LeCamRegularization(decay=0.9), LeCamRegularization(decay=0.9)
    for i in range(3):
        if i == step:
            real, fake = logits(9)
            assert not torch.isfinite(term(critique(real.index_fill(0, torch.tensor([2]), torch.inf), fake)))
        torch.testing.assert_close(term(critique(*logits(i))), other(critique(*logits(i))))


def test_anchors_are_constants() -> None:
    term = LeCamRegularization(weight=1.0)
    term(critique(*logits(0)))
    real, fake = (x.requires_grad_() for x in logits(1))
    value = term(critique(real, fake))
    by_real, by_fake = torch.autograd.grad(value, [real, fake])
    torch.testing.assert_close(by_real, 2 * (real - term.fake_mean).detach() / 4)
    torch.testing.assert_close(by_fake, 2 * (fake - term.real_mean).detach() / 4)


def test_a_later_batch_does_not_disturb_an_earlier_one_s_gradient() -> None:
    """Accumulated parts of a batch may all be computed before any of them is differentiated."""
    term = LeCamRegularization(weight=1.0)
    real, fake = (x.requires_grad_() for x in logits(0))
    value = term(critique(real, fake))
    anchor = term.fake_mean.clone()
    term(critique(*logits(1)))
    (by_real,) = torch.autograd.grad(value, real)
    torch.testing.assert_close(by_real, 2 * (real.detach() - anchor) / 4)


def test_near_the_anchors_it_is_the_paper_s_divergence() -> None:
    """With constant logits at their anchors it is 2(α_R − α_F)²: the two sides are drawn together."""
    term = LeCamRegularization(weight=1.0)
    value = term(critique(torch.full((4,), 1.5), torch.full((4,), -0.5)))
    assert value.item() == pytest.approx(2 * 2.0**2)


def test_its_memory_travels_in_its_buffers() -> None:
    term, other = LeCamRegularization(), LeCamRegularization()
    term(critique(*logits(0)))
    other.load_state_dict(term.state_dict())
    torch.testing.assert_close(other(critique(*logits(1))), term(critique(*logits(1))))
    assert sorted(term.state_dict()) == ["fake_mean", "real_mean", "started"]


@pytest.mark.parametrize("arguments", [{"weight": 0.0}, {"decay": 1.0}, {"decay": -0.1}])
def test_senseless_settings_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(UserError, match="LeCamRegularization's"):
        LeCamRegularization(**arguments)
