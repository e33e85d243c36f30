"""InfoGAN's codes and −log Q against torch.distributions."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, Normal

from lit_gen.errors import UserError
from lit_gen.functional.information import MutualInformation
from lit_gen.training.seeding import generators

CPU = torch.device("cpu")


def outputs(num: int, size: int) -> torch.Tensor:
    return torch.randn(num, size, generator=torch.Generator().manual_seed(1))


def test_codes_stand_in_order_and_have_their_distributions() -> None:
    task = MutualInformation(categorical=(3, 4), continuous=2)
    c = task.codes(6000, torch.Generator().manual_seed(0), CPU)
    assert c.shape == (6000, task.num_codes) == (6000, 9)
    for part, k in ((c[:, :3], 3), (c[:, 3:7], 4)):
        assert set(part.unique().tolist()) == {0.0, 1.0}
        assert (part.sum(1) == 1).all()
        torch.testing.assert_close(part.mean(0), torch.full((k,), 1 / k), atol=0.03, rtol=0)
    u = c[:, 7:]
    assert (u >= -1).all() and (u < 1).all()
    torch.testing.assert_close(u.mean(0), torch.zeros(2), atol=0.03, rtol=0)
    torch.testing.assert_close(u.var(0), torch.full((2,), 1 / 3), atol=0.02, rtol=0)
    # One code says nothing of another.
    covariance = torch.cov(torch.cat([c[:, :2], c[:, 3:5], u], dim=1).T)
    assert covariance[:2, 2:].abs().max() < 0.02 and covariance[2:4, 4:].abs().max() < 0.02


def test_an_image_s_codes_depend_on_its_generator_alone() -> None:
    task = MutualInformation(categorical=(3, 4), continuous=2)
    whole = task.codes(7, generators(5, range(7)), CPU)
    parts = [task.codes(len(r), generators(5, r), CPU) for r in (range(0, 1), range(1, 5), range(5, 7))]
    assert torch.equal(whole, torch.cat(parts))


@pytest.mark.parametrize("deviation", [None, 0.5])
def test_the_loss_is_minus_log_q(deviation: float | None) -> None:
    task = MutualInformation((3, 4), 2, weight=0.7, continuous_weight=0.2, deviation=deviation)
    o = outputs(5, task.num_outputs(None))
    c = task.codes(5, torch.Generator().manual_seed(0), CPU)
    discrete = -Categorical(logits=o[:, :3]).log_prob(c[:, :3].argmax(1))
    discrete = discrete - Categorical(logits=o[:, 3:7]).log_prob(c[:, 3:7].argmax(1))
    sigma = torch.full((5, 2), 0.5) if deviation else o[:, 9:11].exp()
    continuous = -Independent(Normal(o[:, 7:9], sigma), 1).log_prob(c[:, 7:9])
    torch.testing.assert_close(task.negative_log_likelihood(o, c)[0], discrete)
    torch.testing.assert_close(task.negative_log_likelihood(o, c)[1], continuous)
    torch.testing.assert_close(task.fake_loss(o, None, c), (0.7 * discrete + 0.2 * continuous).mean())


@pytest.mark.parametrize(
    ("arguments", "num"),
    [({}, 14), ({"deviation": 1.0}, 12), ({"categorical": (), "continuous": 3}, 6), ({"continuous": 0}, 10)],
)
def test_outputs_are_as_many_as_q_needs(arguments: dict[str, object], num: int) -> None:
    task = MutualInformation(**arguments)
    assert task.num_outputs(None) == task.num_outputs(10) == num
    o = outputs(4, num).requires_grad_()
    loss = task.fake_loss(o, None, task.codes(4, None, CPU))
    (gradient,) = torch.autograd.grad(loss, o)
    assert (gradient.abs().sum(0) > 0).all(), "every output is learnt"


def test_the_bound_is_tight_where_q_knows_and_zero_where_it_guesses() -> None:
    """I(c; x) ≥ H(c) − E[−log Q]: log k for a sure softmax, 0 for a uniform one."""
    task = MutualInformation((8,), 0)
    c = task.codes(16, torch.Generator().manual_seed(0), CPU)
    guess, sure = torch.zeros(16, 8), 100 * c
    assert math.log(8) - task.fake_loss(guess, None, c).item() == pytest.approx(0.0, abs=1e-6)
    assert math.log(8) - task.fake_loss(sure, None, c).item() == pytest.approx(math.log(8))


def test_the_best_gaussian_for_a_guess_has_the_codes_own_deviation() -> None:
    """min over σ of E[−log N(c; 0, σ²)] for c ~ U(−1, 1) is at σ² = ⅓."""
    task = MutualInformation((), 1, continuous_weight=1.0)
    c = torch.linspace(-1, 1, 10001)[:, None]
    s = torch.linspace(-1.5, 0.5, 201)
    values = [task.fake_loss(torch.cat([0 * c, 0 * c + one], 1), None, c).item() for one in s]
    assert s[values.index(min(values))].item() == pytest.approx(0.5 * math.log(1 / 3), abs=0.01)


def test_real_images_teach_nothing() -> None:
    task = MutualInformation()
    assert task.real_loss(outputs(4, 14), None).item() == 0
    assert not list(task.parameters())


@pytest.mark.parametrize(
    "arguments",
    [
        {"categorical": (1,)},
        {"categorical": (), "continuous": 0},
        {"continuous": -1},
        {"weight": -1.0},
        {"deviation": 0.0},
    ],
)
def test_senseless_settings_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(UserError, match="MutualInformation's"):
        MutualInformation(**arguments)
