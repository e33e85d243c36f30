"""Gradient penalties in closed form, on critics whose gradient is known."""

import math

import pytest
import torch
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.functional.gradient_penalties import DRAGAN, R1, R2, GradientPenalty, interpolate
from lit_gen.functional.regularizer import Critique, DiscriminatorRegularizer
from lit_gen.functional.weight_clipping import WeightClipping

SHAPE = (2, 3, 5)
_seeded = torch.Generator().manual_seed(0)
real = torch.randn(4, *SHAPE, generator=_seeded, dtype=torch.float64)
fake = torch.randn(4, *SHAPE, generator=_seeded, dtype=torch.float64)
w = torch.randn(*SHAPE, generator=_seeded, dtype=torch.float64)
NORM = w.norm().item()
PENALTIES: list[DiscriminatorRegularizer] = [GradientPenalty(7.0), DRAGAN(7.0), R1(7.0), R2(7.0)]


def linear(x: Tensor, label: Tensor | None) -> Tensor:
    """l(x) = ⟨w, x⟩, whose gradient is w everywhere."""
    return (w * x).sum((1, 2, 3))


def quadratic(x: Tensor, label: Tensor | None) -> Tensor:
    """l(x) = ½‖x‖², whose gradient is x."""
    return 0.5 * x.square().sum((1, 2, 3))


def named(penalty: DiscriminatorRegularizer) -> str:
    return type(penalty).__name__


@pytest.mark.parametrize("penalty", [GradientPenalty(7.0), DRAGAN(7.0)], ids=named)
def test_towards_one_on_a_linear_critic(penalty: DiscriminatorRegularizer) -> None:
    """λ(‖w‖ − 1)², with the norm over channels and pixels."""
    assert penalty(Critique(linear, real, fake)).item() == pytest.approx(7.0 * (NORM - 1) ** 2)


@pytest.mark.parametrize("penalty", [R1(7.0), R2(7.0)], ids=named)
def test_towards_zero_on_a_linear_critic(penalty: DiscriminatorRegularizer) -> None:
    """γ/2 ‖w‖², summed over channels and pixels: not a mean of them."""
    assert penalty(Critique(linear, real, fake)).item() == pytest.approx(3.5 * NORM**2)


def test_each_penalty_looks_where_it_should() -> None:
    """The quadratic critic's gradient is the point itself: R1 sees real images, R2 fakes, the others between."""
    critique = Critique(quadratic, real, fake)
    assert R1(7.0)(critique).item() == pytest.approx(3.5 * real.flatten(1).square().sum(1).mean().item())
    assert R2(7.0)(critique).item() == pytest.approx(3.5 * fake.flatten(1).square().sum(1).mean().item())
    torch.manual_seed(3)
    between = GradientPenalty(7.0)(critique)
    torch.manual_seed(3)
    norm = interpolate(real, fake).flatten(1).norm(dim=1)
    assert between.item() == pytest.approx(7.0 * (norm - 1).square().mean().item())


def test_dragan_stays_near_the_real_images() -> None:
    seen: list[Tensor] = []

    def critic(x: Tensor, label: Tensor | None) -> Tensor:
        seen.append(x.detach())
        return linear(x, label)

    DRAGAN(spread=0.5)(Critique(critic, real, torch.full_like(fake, torch.nan)))
    distance = seen[0] - real
    assert (distance >= 0).all()
    assert distance.max() <= 0.5 * real.std(correction=0)
    assert distance.max() > 0.1 * real.std(correction=0)


def test_a_point_lies_between_its_own_two_images() -> None:
    """One α per image: all of an image's pixels are at the same share of the way, other images at others."""
    torch.manual_seed(0)
    share = (interpolate(real, fake) - real) / (fake - real)
    alpha = share[:, 0, 0, 0]
    torch.testing.assert_close(share, alpha[:, None, None, None].expand_as(share), atol=1e-9, rtol=0)
    assert ((alpha >= 0) & (alpha < 1)).all()
    assert alpha.unique().numel() == len(alpha)
    many = interpolate(torch.zeros(4000, 1, 1, 1), torch.ones(4000, 1, 1, 1))
    assert many.mean().item() == pytest.approx(0.5, abs=0.02)
    assert many.var().item() == pytest.approx(1 / 12, abs=0.005)


@pytest.mark.parametrize("penalty", PENALTIES, ids=named)
def test_a_penalty_is_a_mean_of_norms_not_a_norm_of_means(penalty: DiscriminatorRegularizer) -> None:
    """Two images whose gradients are w and −w: their mean gradient is 0, their penalty that of w."""
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)

    def critic(x: Tensor, label: Tensor | None) -> Tensor:
        return sign * linear(x, label)

    torch.testing.assert_close(penalty(Critique(critic, real, fake)), penalty(Critique(linear, real, fake)))


def test_one_image_does_not_leak_into_another() -> None:
    scale = torch.tensor([1.0, 1e6, 1.0, 1.0], dtype=torch.float64)
    gradient = Critique(lambda x, label: scale * linear(x, label), real, fake).real_gradient
    for i in (0, 2, 3):
        torch.testing.assert_close(gradient[i], w.flatten())
    others = Critique(quadratic, torch.cat([real[:1], 1e6 * fake[:1]]), fake).real_gradient
    torch.testing.assert_close(others[0], real[0].flatten())


@pytest.mark.parametrize("penalty", [R1(), R2()], ids=named)
def test_a_pass_that_the_loss_has_taken_is_shared(penalty: DiscriminatorRegularizer) -> None:
    """The same number, the same gradient of the critic, and no further question to it."""
    asked = 0
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def critic(x: Tensor, label: Tensor | None) -> Tensor:
        nonlocal asked
        asked += 1
        return weight * quadratic(x, label)

    again = penalty(Critique(critic, real, fake, None, None, critic(real, None), critic(fake, None)))
    assert asked == 3, "logits of images that no gradient reaches are no help"
    a, b = real.clone().requires_grad_(), fake.clone().requires_grad_()
    shared = penalty(Critique(critic, a, b, None, None, critic(a, None), critic(b, None)))
    assert asked == 5
    torch.testing.assert_close(shared, again)
    gradients = [torch.autograd.grad(value, weight)[0] for value in (again, shared)]
    torch.testing.assert_close(gradients[1], gradients[0])
    assert gradients[0] != 0


@pytest.mark.parametrize("penalty", PENALTIES, ids=named)
def test_gradients_are_finite_where_the_critic_is_flat(penalty: DiscriminatorRegularizer) -> None:
    """‖∇‖ has no derivative at 0; a critic that starts at 0 must not become NaN."""
    weight = torch.zeros(SHAPE, dtype=torch.float64, requires_grad=True)
    value = penalty(Critique(lambda x, label: (weight * x).sum((1, 2, 3)), real, fake))
    (gradient,) = torch.autograd.grad(value, weight)
    assert value.item() == pytest.approx(7.0 if isinstance(penalty, GradientPenalty | DRAGAN) else 0.0)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("penalty", PENALTIES, ids=named)
def test_the_second_derivative_is_the_penalty_s_own(penalty: DiscriminatorRegularizer) -> None:
    """On ⟨w, x⟩: d/dw λ(‖w‖ − 1)² = 2λ(‖w‖ − 1)w/‖w‖ and d/dw γ/2 ‖w‖² = γw."""
    weight = w.clone().requires_grad_()
    value = penalty(Critique(lambda x, label: (weight * x).sum((1, 2, 3)), real, fake))
    (gradient,) = torch.autograd.grad(value, weight)
    towards_one = isinstance(penalty, GradientPenalty | DRAGAN)
    torch.testing.assert_close(gradient, 14.0 * (1 - 1 / NORM) * w if towards_one else 7.0 * w)


@pytest.mark.parametrize("penalty", PENALTIES, ids=named)
def test_the_penalty_reaches_every_weight_of_a_deep_critic(penalty: DiscriminatorRegularizer) -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(SHAPE), 6), nn.Softplus(), nn.Linear(6, 1)).double()
    penalty(Critique(lambda x, label: critic(x).flatten(), real, fake)).backward()
    for name, parameter in critic.named_parameters():
        if name != "3.bias":  # which moves every logit alike
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_labels_belong_to_their_images() -> None:
    seen: list[Tensor | None] = []

    def critic(x: Tensor, label: Tensor | None) -> Tensor:
        seen.append(label)
        return linear(x, label)

    label, fake_label = torch.arange(4), torch.arange(4) + 10
    for penalty in PENALTIES:
        penalty(Critique(critic, real, fake, label, fake_label))
    assert [one.tolist() for one in seen if one is not None] == [label.tolist()] * 3 + [fake_label.tolist()]


@pytest.mark.parametrize("penalty", [GradientPenalty, DRAGAN, R1, R2])
@pytest.mark.parametrize("strength", [0.0, -1.0, math.nan])
def test_a_senseless_strength_is_refused(penalty: type[DiscriminatorRegularizer], strength: float) -> None:
    with pytest.raises(UserError, match=penalty.__name__):
        penalty(strength)
    with pytest.raises(UserError, match="every"):
        penalty(every=0)


def test_weights_are_clipped_to_the_box_in_place() -> None:
    critic = nn.Linear(3, 2)
    with torch.no_grad():
        critic.weight.copy_(torch.tensor([[-3.0, 0.005, 0.02], [0.01, -0.004, 9.0]]))
        critic.bias.copy_(torch.tensor([1.0, -0.001]))
    weight = critic.weight
    WeightClipping(0.01)(critic)
    assert critic.weight is weight
    torch.testing.assert_close(weight.data, torch.tensor([[-0.01, 0.005, 0.01], [0.01, -0.004, 0.01]]))
    torch.testing.assert_close(critic.bias.data, torch.tensor([0.01, -0.001]))
    with pytest.raises(UserError, match="limit"):
        WeightClipping(0.0)
