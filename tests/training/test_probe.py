"""Classifiers on few labels: what they converge to, what they may see, and what is trained."""

import pytest
import torch
from torch import nn

from lit_gen.training.probe import fit_head, fit_with_encoder


def two_classes(num: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(num) % 2
    x = torch.randn(num, 5, generator=generator)
    x[:, 0] += 2 * label
    return x, label


def test_a_linear_head_is_logistic_regression() -> None:
    """The minimum of the same loss, found by scikit-learn, whose C is 1/(N λ)."""
    from sklearn.linear_model import LogisticRegression

    x, y = two_classes(200, 0)
    head = fit_head(x, y, 2)
    scaled = (x - x.mean(dim=0)) / (x - x.mean(dim=0)).square().mean().sqrt()
    # Two rows of weights that are each other's negative weigh half as much as one row of their difference.
    exact = LogisticRegression(C=2 / (len(x) * head.decay), tol=1e-8).fit(scaled.numpy(), y.numpy())
    logits = head(x).detach()
    wanted = torch.from_numpy(exact.decision_function(scaled.numpy())).float()
    assert torch.allclose(logits[:, 1] - logits[:, 0], wanted, atol=2e-3)


def test_features_of_any_scale_place_and_turn_are_the_same_features() -> None:
    x, y = two_classes(100, 1)
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0))).Q
    first, turned = fit_head(x, y, 2)(x), fit_head(x @ turn, y, 2)(x @ turn)
    assert torch.allclose(first.log_softmax(dim=1), turned.log_softmax(dim=1), atol=1e-3)
    heads = [fit_head(a * x + b, y, 2) for a, b in ((1, 0), (100, -7))]
    assert torch.allclose(heads[0](x), heads[1](100 * x - 7), atol=1e-3)


def test_it_is_seeded_and_leaves_the_global_generator_alone() -> None:
    x, y = two_classes(60, 2)
    state = torch.get_rng_state()
    first, again, other = (fit_head(x, y, 2, [4], 5, seed)(x) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_decay_is_strong_where_features_are_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    noise, y = torch.randn(60, 200, generator=generator), torch.arange(60) % 2
    noise[:, 0] += 3 * y
    x, y2 = two_classes(2000, 3)
    x[:, 0] += 20 * y2
    assert fit_head(noise, y, 2).decay > fit_head(x, y2, 2).decay


def test_a_label_alone_is_enough() -> None:
    x, y = torch.eye(3), torch.arange(3)
    assert fit_head(x, y, 3)(x).argmax(dim=1).tolist() == [0, 1, 2]


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)
        self.layer = nn.Linear(5, 1)
        nn.init.zeros_(self.layer.weight)
        self.layer.weight.data[0, 1] = 1  # it looks at what tells nothing

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.norm(x))


@pytest.mark.parametrize("training", [False, True])
def test_fine_tuning_trains_the_encoder(training: bool) -> None:
    x, y = two_classes(300, 4)
    encoder = Encoder().eval()
    with torch.no_grad():
        head = fit_head(encoder(x), y, 2)
        before = float((head(encoder(x)).argmax(dim=1) == y).double().mean())
    fit_with_encoder(encoder, encoder, head, x, y, 150, 3e-2, 50, 0, training)
    after = float((head(encoder(x)).argmax(dim=1) == y).double().mean())
    assert before < 0.65 and after > 0.8
    assert not encoder.training
    assert bool(encoder.norm.num_batches_tracked) == training


def test_an_encoder_without_gradient_is_refused() -> None:
    x, y = two_classes(20, 5)
    encoder = Encoder().eval()
    with torch.no_grad():
        head = fit_head(encoder(x), y, 2)
    with pytest.raises(ValueError, match="no gradient"):
        fit_with_encoder(encoder, torch.no_grad()(encoder), head, x, y, 1, 1e-2, 8, 0)
