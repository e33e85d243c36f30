"""Dense networks: any shape, labels that matter, the Lipschitz bound of spectral normalisation."""

import pytest
import torch
from torch import nn

from lit_gen.errors import UserError
from lit_gen.nn.dense import DenseDiscriminator, DenseGenerator

SHAPES = [(1, 1, 1), (2, 1, 1), (1, 28, 28), (3, 5, 7)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_any_shape(shape: tuple[int, int, int], num_classes: int | None, spectral_norm: bool) -> None:
    generator = DenseGenerator(shape, 5, num_classes, width=8, depth=2)
    discriminator = DenseDiscriminator(shape, num_classes, width=8, depth=2, spectral_norm=spectral_norm)
    label = None if num_classes is None else torch.tensor([0, 2])
    x = generator(torch.randn(2, 5), label)
    assert x.shape == (2, *shape) and x.abs().max() <= 1
    logits = discriminator(x, label)
    assert logits.shape == (2,)
    logits.sum().backward()
    for name, parameter in [*generator.named_parameters(), *discriminator.named_parameters()]:
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_layers_are_counted_as_said() -> None:
    layers = DenseGenerator((2, 1, 1), 3, 4, width=16, depth=3).layers
    assert [(it.in_features, it.out_features) for it in layers if isinstance(it, nn.Linear)] == [
        (7, 16), (16, 16), (16, 16), (16, 2)
    ]  # fmt: skip
    assert isinstance(layers[-1], nn.Linear)


def test_a_linear_output_has_no_bounds() -> None:
    torch.manual_seed(0)
    z = 100 * torch.randn(64, 3)
    generator = DenseGenerator((2, 1, 1), 3, width=8, output="linear")
    points = generator(z)
    assert points.abs().max() > 1
    generator.output = "tanh"
    assert torch.equal(generator(z), points.tanh())


def test_the_scale_is_that_of_the_points() -> None:
    torch.manual_seed(0)
    generator, discriminator = DenseGenerator((2, 1, 1), 3, output="linear"), DenseDiscriminator((2, 1, 1))
    z = torch.randn(5, 3)
    points = generator(z)
    logits = discriminator(points)
    generator.scale = discriminator.scale = 4.0
    assert torch.equal(generator(z), 4 * points)
    assert torch.allclose(discriminator(4 * points), logits)


def test_the_label_is_seen() -> None:
    torch.manual_seed(0)
    generator, discriminator = DenseGenerator((1, 2, 2), 3, 2), DenseDiscriminator((1, 2, 2), 2)
    z, zero, one = torch.randn(4, 3), torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.long)
    assert not torch.allclose(generator(z, zero), generator(z, one))
    x = generator(z, zero)
    assert not torch.allclose(discriminator(x, zero), discriminator(x, one))
    for network, value in ((generator, z), (discriminator, x)):
        with pytest.raises(AssertionError):
            network(value)
    with pytest.raises(AssertionError):
        DenseGenerator((1, 2, 2), 3)(z, zero)


def test_more_outputs_have_the_logit_first() -> None:
    discriminator = DenseDiscriminator((1, 2, 2), num_outputs=4, width=8)
    assert discriminator(torch.randn(3, 1, 2, 2)).shape == (3, 4)


def test_spectral_normalisation_makes_the_network_lipschitz_and_rests_in_evaluation() -> None:
    torch.manual_seed(0)
    discriminator = DenseDiscriminator((2, 1, 1), width=32, spectral_norm=True)
    x = 3 * torch.randn(200, 2, 1, 1)
    for _ in range(30):  # the power iteration converges
        discriminator(x)
    discriminator.eval()
    state = {name: value.clone() for name, value in discriminator.state_dict().items()}
    for layer in discriminator.layers:
        if isinstance(layer, nn.Linear):
            assert float(torch.linalg.matrix_norm(layer.weight, 2)) == pytest.approx(1.0, abs=1e-2)
    distance = torch.cdist(x.flatten(1), x.flatten(1)) + torch.eye(200)
    logits = discriminator(x)
    assert ((logits[:, None] - logits).abs() / distance).max() <= 1.02
    assert all(torch.equal(state[name], value) for name, value in discriminator.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"width": 0}, "width is 0"),
        ({"depth": 0}, "depth 0"),
        ({"scale": 0.0}, "scale is 0.0"),
        ({"activation": "rilu"}, "'rilu'"),
    ],
)
def test_wrong_settings_are_named(arguments, named) -> None:
    with pytest.raises(UserError, match=named):
        DenseDiscriminator((2, 1, 1), **arguments)
    with pytest.raises(UserError, match=named):
        DenseGenerator((2, 1, 1), 3, **arguments)


def test_an_unknown_output_is_named() -> None:
    with pytest.raises(UserError, match="'sigmoid'"):
        DenseGenerator((2, 1, 1), 3, output="sigmoid")
