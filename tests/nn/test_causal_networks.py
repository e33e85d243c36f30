"""Every autoregressive network: what it sees, what it does not, and its stepper, which gives the same numbers."""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from causal_networks import CLASSES, NETWORKS, made
from torch import Tensor

from lit_gen.callbacks.moving_average import MovingAverage
from lit_gen.commands.recorded import check_shapes
from lit_gen.errors import UserError
from lit_gen.nn.causal_network import CausalNetwork, Stepper
from lit_gen.nn.gated_pixelcnn import GatedPixelCNN
from lit_gen.nn.image_transformer import ImageTransformer
from lit_gen.nn.multi_scale_network import MultiScaleNetwork
from lit_gen.nn.naive_stepper import NaiveStepper
from lit_gen.nn.pixel_rnn import PixelRNN
from lit_gen.nn.pixelcnn import PixelCNN
from lit_gen.nn.pixelcnnpp import PixelCNNPP
from lit_gen.nn.row_lstm import RowLSTM
from lit_gen.nn.weight_norm import normalised

every_network = pytest.mark.parametrize("name", NETWORKS)


def seen(network: CausalNetwork, label: Tensor | None = None) -> Tensor:
    """Returns the greatest |∂ numbers of position n / ∂ planes of position m| over some images, [N, N]."""
    (planes, height, width), groups = network.input_shape, network.groups
    found = torch.zeros(())
    for seed in range(3):
        x = torch.randn(1, planes, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        whole = torch.autograd.functional.jacobian(lambda x: network(x, label)[0], x, vectorize=True)[:, :, :, 0]
        whole = whole.abs().unflatten(3, (groups, -1)).unflatten(0, (groups, -1)).amax((1, 5))  # [G, H, W, G, H, W]
        found = torch.maximum(found, whole)
    rows, columns = (torch.tensor(part) for part in zip(*network.order, strict=True))
    found = found[:, rows, columns][..., rows, columns]  # [G, P, G, P]
    return found.permute(1, 0, 3, 2).flatten(2).flatten(0, 1)


@every_network
def test_numbers_depend_on_what_precedes_and_on_nothing_else(name: str) -> None:
    network = made(name)
    found = seen(network)
    num = len(network.order) * network.groups
    assert found.shape == (num, num)
    assert found.triu().eq(0).all(), "a position sees itself or what follows"
    if not isinstance(network, PixelCNN) and "row" not in name:
        earlier = torch.ones(num, num, dtype=torch.bool).tril(-1)
        assert found[earlier].gt(0).all(), "a position does not see all that precedes it"


@pytest.mark.parametrize("label", range(2))
def test_conditional_networks_are_causal_too(label: int) -> None:
    for name in (
        "pixelcnn, planes",
        "gated, planes",
        "pixelcnn++, two",
        "diagonal bilstm, planes",
        "transformer, planes",
        "two scales, planes",
    ):
        assert seen(made(name, CLASSES), torch.tensor([label])).triu().eq(0).all(), name


def test_pixelcnn_has_the_blind_spot_that_its_kernels_leave() -> None:
    """With 3×3 kernels: a row higher, it reaches one column further to the right; to the left it reaches all."""
    torch.manual_seed(0)
    size = 5
    network = PixelCNN((1, size, size), 1, 1, features=16, blocks=size, first_kernel_size=3).double()
    found = seen(network).view(size, size, size, size)
    for i, j, r, c in torch.cartesian_prod(*[torch.arange(size)] * 4).tolist():
        precedes = (r, c) < (i, j)
        assert bool(found[i, j, r, c] > 0) == (precedes and c - j <= i - r), (i, j, r, c)


def test_row_lstm_sees_the_triangle_that_it_is_said_to_see() -> None:
    """Three columns of the row above, row after row; of a row, as far to the left as its masked convolutions reach."""
    torch.manual_seed(0)
    height, width, blocks = 3, 7, 1
    network = PixelRNN((1, height, width), 1, 1, layer=RowLSTM, features=8, blocks=blocks, kernel_size=3).double()
    found = seen(network).view(height, width, height, width)
    for i, j, r, c in torch.cartesian_prod(*[torch.arange(n) for n in (height, width) * 2]).tolist():
        d = i - r
        reached = (r, c) < (i, j) and -(d + blocks + 1) <= c - j <= d
        assert bool(found[i, j, r, c] > 0) == reached, (i, j, r, c)


def _forced(stepper: Stepper, x: Tensor, network: CausalNetwork) -> Tensor:
    """Returns a stepper's numbers [B, num_outputs, H, W], the image being what it is."""
    theta = x.new_zeros(len(x), network.groups, network.num_outputs // network.groups, *x.shape[2:])
    planes = x.unflatten(1, (network.groups, -1))
    for row, column in network.order:
        for group in range(network.groups):
            theta[:, group, :, row, column] = stepper.theta()
            stepper.put(planes[:, group, :, row, column])
    return theta.flatten(1, 2)


@every_network
@pytest.mark.parametrize("classes", [None, CLASSES])
def test_a_stepper_computes_what_the_whole_network_does(name: str, classes: int | None) -> None:
    network = made(name, classes)
    label = None if classes is None else torch.arange(4) % classes
    x = torch.randn(4, *network.input_shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        whole = network(x, label)
        torch.testing.assert_close(_forced(network.stepper(4, label), x, network), whole, atol=1e-12, rtol=0)
        if classes is None:
            torch.testing.assert_close(_forced(NaiveStepper(network, 4), x, network), whole, atol=1e-12, rtol=0)
        network, x = network.float(), x.float()
        whole = network(x, label)
        torch.testing.assert_close(_forced(network.stepper(4, label), x, network), whole, atol=1e-5, rtol=0)
    assert whole.std() > 0.01


@every_network
def test_classes_change_the_numbers(name: str) -> None:
    network = made(name, CLASSES)
    x = torch.zeros(2, *network.input_shape, dtype=torch.float64)
    first, second = network(x, torch.tensor([0, 2]))
    assert (first - second).abs().amax(dim=0).gt(0).all()


_GATED = partial(GatedPixelCNN, features=4, blocks=2)
_SCALES = partial(MultiScaleNetwork, small=_GATED, large=_GATED)


@pytest.mark.parametrize(
    "factory",
    [PixelCNN, GatedPixelCNN, PixelCNNPP, PixelRNN, partial(PixelRNN, layer=RowLSTM), ImageTransformer, _SCALES],
    ids=["pixelcnn", "gated", "pixelcnn++", "diagonal bilstm", "row lstm", "transformer", "two scales"],
)
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 1), (3, 7)])
def test_any_size(factory: Callable[..., CausalNetwork], size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = factory((2, *size), 4, 1, features=4, blocks=2).eval()
    x = torch.randn(2, 2, *size)
    with torch.no_grad():
        whole = network(x)
        assert whole.shape == (2, 4, *size)
        torch.testing.assert_close(_forced(network.stepper(2), x, network), whole, atol=1e-5, rtol=0)


def test_what_does_not_fit_is_refused() -> None:
    for wrong in (
        partial(PixelCNN, (3, 4, 4), 3, 2),
        partial(PixelCNN, (1, 4, 4), 2, 1, first_kernel_size=4),
        partial(GatedPixelCNN, (3, 4, 4), 3, 3, features=8),
        partial(GatedPixelCNN, (1, 4, 4), 1, 1, kernel_size=2),
        partial(PixelCNNPP, (3, 4, 4), 3, 3),
        partial(PixelCNNPP, (1, 4, 4), 3, 1, resolutions=0),
        partial(PixelRNN, (3, 4, 4), 3, 3, features=8),
        partial(PixelRNN, (1, 4, 4), 1, 1, kernel_size=2),
        partial(PixelRNN, (1, 4, 4), 1, 1, layer=partial(RowLSTM, kernel_size=2)),
        partial(ImageTransformer, (1, 4, 4), 1, 1, features=6, heads=4),
        partial(_SCALES, (1, 4, 4), 1, 1, stride=1),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_dropout_acts_in_training_alone() -> None:
    factory, shape, num_outputs, groups = NETWORKS["pixelcnn++"]
    network = factory(input_shape=shape, num_outputs=num_outputs, groups=groups)
    x = torch.randn(1, *shape)
    with torch.no_grad():  # with gradients the first pass would set the weights' start
        assert not torch.equal(network(x), network(x))
        network.eval()
        assert torch.equal(network(x), network(x))


def _plus() -> PixelCNNPP:
    torch.manual_seed(0)
    return PixelCNNPP((2, 6, 5), 3, 1, features=4, blocks=1, resolutions=2, dropout=0.0).train()


def test_normalised_weights_start_from_the_first_batch_of_training_and_from_no_other() -> None:
    network, x = _plus(), 2 + 3 * torch.randn(16, 2, 6, 5)
    fresh = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        network(x)  # sampled, not trained
    network.eval()(x)
    assert all(torch.equal(value, fresh[key]) for key, value in network.state_dict().items())
    outputs: dict[str, Tensor] = {}
    for name, layer in network.named_modules():
        if hasattr(layer, "initialised"):
            layer.register_forward_hook(lambda _, __, y, name=name: outputs.update({name: y}))
    network.train()(x)
    assert len(outputs) == sum(key.endswith("initialised") for key in fresh) > 20
    for name, y in outputs.items():
        size = 0.1 if name.endswith("second") else 1.0
        torch.testing.assert_close(y.mean(dim=(0, 2, 3)), torch.zeros(y.shape[1]), atol=1e-5, rtol=0, msg=name)
        torch.testing.assert_close(y.std(dim=(0, 2, 3), correction=0), torch.full((y.shape[1],), size), msg=name)
    started = copy.deepcopy(network.state_dict())
    again = _plus()
    again.load_state_dict(started)
    for one in (network, again, copy.deepcopy(network)):
        one(7 * x + 1)
        assert all(torch.equal(value, started[key]) for key, value in one.state_dict().items())
    # Weights of before there was a start.
    trained = {key: value for key, value in fresh.items() if not key.endswith("initialised")}
    again.load_state_dict(trained)
    again(x)
    assert all(torch.equal(value, trained[key]) for key, value in again.state_dict().items() if key in trained)


def test_what_does_not_vary_keeps_its_length() -> None:
    layer = normalised(torch.nn.Conv2d(1, 2, 1))
    weight = layer.weight.detach().clone()
    y = layer(torch.ones(3, 1, 2, 2))
    torch.testing.assert_close(y, torch.zeros_like(y), atol=1e-6, rtol=0)
    torch.testing.assert_close(layer.weight, weight)


def test_normalised_weights_start_alike_in_low_precision() -> None:
    layers = torch.nn.Sequential(*(normalised(torch.nn.Conv2d(3, 3, 1)) for _ in range(3)))
    outputs: list[Tensor] = []
    for layer in layers:
        layer.register_forward_hook(lambda _, __, y: outputs.append(y))
    with torch.autocast("cpu", dtype=torch.bfloat16):  # which caches what it has made smaller
        layers(2 + 3 * torch.randn(64, 3, 4, 4))
    for y in outputs:
        torch.testing.assert_close(y.float().mean(dim=(0, 2, 3)), torch.zeros(3), atol=0.1, rtol=0)
        torch.testing.assert_close(y.float().std(dim=(0, 2, 3)), torch.ones(3), atol=0.1, rtol=0)


def test_older_checkpoints_without_a_start_fit() -> None:
    network = _plus()
    older = {key: value for key, value in network.state_dict().items() if not key.endswith("initialised")}
    check_shapes(network, {"path": "old.ckpt", "state_dict": older})
    with pytest.raises(UserError, match="does not fit"):
        check_shapes(network, {"path": "old.ckpt", "state_dict": dict(list(older.items())[1:])})
    average = MovingAverage(100.0, None)
    average.load(older)
    average.bind(network.state_dict(keep_vars=True), {})
    assert average.tensors.keys() == network.state_dict().keys()
