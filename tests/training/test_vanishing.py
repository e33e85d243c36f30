"""The generator's gradient in closed form, and its fate where the discriminator becomes perfect."""

import itertools

import pytest
import torch
from torch import nn

from lit_gen.functional.adversarial import MinimaxLoss, NonSaturatingLoss
from lit_gen.training.vanishing import gradient_norms, vanishing_gradient

LOSSES = {"minimax": MinimaxLoss(), "non_saturating": NonSaturatingLoss()}


class Scale(nn.Module):
    """G(z) = θz, element by element."""

    def __init__(self, theta: list[float]) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))
        self.unused = nn.Parameter(torch.ones(3))

    def latents(self, num: int, generator: object = None) -> torch.Tensor:
        return torch.randn(num, len(self.theta))

    def generate(self, z: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        return self.theta * z


class Logit(nn.Linear):
    def forward(self, x: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(x)[:, 0]


@pytest.mark.parametrize("batch_size", [3, 10, 64])
def test_norms_are_those_of_the_derivative(batch_size):
    model, critic = Scale([0.5, -1.5]), Logit(2, 1)
    z = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
    a, b = critic.weight.detach()[0], critic.bias.detach()
    d = torch.sigmoid((model.theta.detach() * z) @ a + b)[:, None]  # D(G(z))
    # ∇ log(1 − D) = −D ∇l and ∇(−log D) = −(1 − D) ∇l, with ∇θ l = a ⊙ z.
    wanted = {"minimax": (-d * a * z).mean(0).norm(), "non_saturating": (-(1 - d) * a * z).mean(0).norm()}
    found = gradient_norms(model, critic, LOSSES, z, None, batch_size)
    assert found == pytest.approx({name: float(value) for name, value in wanted.items()})
    assert model.theta.grad is None and critic.weight.grad is None


def test_a_discriminator_is_told_labels_only_if_it_is_to_know_them():
    class Untold(Logit):
        def forward(self, x: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
            assert label is None
            return super().forward(x)

    model, critic, label = Scale([1.0, 1.0]), Untold(2, 1), torch.zeros(4, dtype=torch.int64)
    batches = ({"image": torch.randn(4, 2), "label": label} for _ in itertools.count())
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    z = torch.randn(4, 2)
    assert len(list(vanishing_gradient(model, critic, optimizer, batches, LOSSES, z, label, 2, 1, told=False))) == 3


class Critic(nn.Module):
    """A discriminator with labels and a second output."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), norm, nn.LeakyReLU(0.2), nn.Linear(8, 2))

    def forward(self, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat([x, nn.functional.one_hot(label, 2)], dim=1))


def test_measuring_leaves_no_trace():
    model, critic = Scale([1.0, 1.0]), Critic(nn.BatchNorm1d(8)).train()
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    label = torch.tensor([0, 1] * 4)
    first = gradient_norms(model, critic, LOSSES, torch.randn(8, 2), label, 4)
    assert first["minimax"] > 0
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())


def test_against_a_perfect_discriminator_only_the_minimax_gradient_vanishes():
    torch.manual_seed(0)
    model, critic = Scale([0.1, 0.1]), Critic(nn.Identity())
    batches = ({"image": 3 + 0.1 * torch.randn(32, 2), "label": torch.randint(2, (32,))} for _ in itertools.count())
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.01)
    z, label = torch.randn(64, 2), torch.arange(64) % 2
    found = list(vanishing_gradient(model, critic, optimizer, batches, LOSSES, z, label, 300, 50))
    assert [it.step for it in found] == list(range(0, 301, 50))
    assert found[-1].accuracy == 1 and found[-1].loss < 0.02
    largest = {name: max(it.norms[name] for it in found) for name in LOSSES}
    assert found[-1].norms["minimax"] < 0.1 * largest["minimax"]
    assert found[-1].norms["non_saturating"] > 0.5 * largest["non_saturating"]
    ratio = [it.norms["minimax"] / it.norms["non_saturating"] for it in found]
    assert ratio == sorted(ratio, reverse=True) and ratio[-1] < 0.05
