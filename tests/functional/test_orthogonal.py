"""Orthogonal regularization against equation (3), and its optimum."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from lit_gen.errors import UserError
from lit_gen.functional.orthogonal import OrthogonalRegularization, filter_overlap
from lit_gen.nn.stylegan2 import StyleGAN2Generator

Z = torch.zeros(2, 3)


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 4), (1, 5), (5, 1)])
def test_overlap_is_its_definition(shape: tuple[int, int]) -> None:
    rows = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    w = rows.T  # the paper's filters are columns
    expected = torch.linalg.matrix_norm((w.T @ w) * (1 - torch.eye(shape[0], dtype=torch.float64))).square()
    torch.testing.assert_close(filter_overlap(rows), expected, atol=1e-10, rtol=1e-10)


def test_orthogonal_filters_of_any_length_cost_nothing() -> None:
    q = torch.linalg.qr(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))[0]
    lengths = torch.tensor([0.1, 1.0, 3.0, 10.0])
    assert filter_overlap((q * lengths).T).item() == pytest.approx(0.0, abs=1e-9)


def test_two_filters_at_a_known_angle() -> None:
    layer = nn.Linear(2, 2)
    layer.weight.data = torch.tensor([[1.0, 0.0], [3.0, 4.0]])  # inner product 3, counted both ways round
    assert OrthogonalRegularization(0.5)(layer, Z, None).item() == pytest.approx(0.5 * 18.0)


def test_it_bears_on_convolutions_and_linear_layers_and_not_on_embeddings_or_biases() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(2, 3, 3))
    rest = nn.Sequential(nn.Embedding(5, 4), nn.BatchNorm2d(3))
    filters = [network[0].weight, network[1].weight.flatten(1), network[2].weight.transpose(0, 1).flatten(1)]
    term = OrthogonalRegularization()(nn.Sequential(network, rest), Z, None)
    torch.testing.assert_close(term, 1e-4 * sum(filter_overlap(w) for w in filters))
    term.backward()
    assert all(layer.weight.grad is not None and layer.bias.grad is None for layer in network)
    assert all(p.grad is None for p in rest.parameters())


def test_normalised_layers_do_not_iterate_for_it() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 4)
    plain = OrthogonalRegularization()(layer, Z, None)
    spectral_norm(layer)
    before = [buffer.clone() for buffer in layer.buffers()]
    torch.testing.assert_close(OrthogonalRegularization()(layer, Z, None), plain)
    assert all(torch.equal(a, b) for a, b in zip(before, layer.buffers(), strict=True))


def test_descent_makes_filters_orthogonal() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 4)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    for _ in range(500):
        optimizer.zero_grad()
        OrthogonalRegularization(1.0)(layer, Z, None).backward()
        optimizer.step()
    gram = (layer.weight @ layer.weight.T).detach()
    assert (gram - torch.diag(gram.diagonal())).abs().max() < 1e-3 * gram.diagonal().min()


def test_a_generator_that_it_would_not_touch_is_refused() -> None:
    """StyleGAN2's layers are none of torch's: the penalty would be 0 all along."""
    generator = StyleGAN2Generator((1, 8, 8), 3, features=2, max_features=2, style_dim=2, mapping_layers=1)
    with pytest.raises(UserError, match="StyleGAN2Generator has none"):
        OrthogonalRegularization()(generator, Z, None)


def test_a_senseless_weight_is_refused() -> None:
    with pytest.raises(UserError, match="above 0"):
        OrthogonalRegularization(0.0)
