"""Every layer of a flow: it is undone to 1e-8, and its log-determinant is that of autograd's Jacobian."""

import copy
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.nn.act_norm import ActNorm
from lit_gen.nn.bijection import Bijection, Chain, Flatten
from lit_gen.nn.coupling import Coupling, Scaling
from lit_gen.nn.coupling_networks import ConvNetwork, DenseNetwork, ResidualNetwork
from lit_gen.nn.coupling_transforms import AdditiveTransform, AffineTransform, SplineTransform
from lit_gen.nn.dense_flows import DenseRealNVP, SplineFlow
from lit_gen.nn.flow_priors import ClassPrior, Split
from lit_gen.nn.glow import Glow
from lit_gen.nn.invertible_conv import InvertibleConv
from lit_gen.nn.nice import NICE
from lit_gen.nn.partitions import Checkerboard, Halves, Parity
from lit_gen.nn.realnvp import RealNVP
from lit_gen.nn.squeeze import Squeeze

CONV = partial(ConvNetwork, features=4)
RESIDUAL = partial(ResidualNetwork, features=4, blocks=2)
DENSE = partial(DenseNetwork, width=8, depth=2)
MAP, ODD = (2, 4, 4), (3, 3, 5)

# Name → what makes the layer, the shape that comes in, and the size of its condition.
LAYERS = {
    "additive, parity": (lambda: Coupling(Parity(7), AdditiveTransform(), DENSE), (7,), 0),
    "additive, parity, flipped": (lambda: Coupling(Parity(7, True), AdditiveTransform(), DENSE), (7,), 0),
    "affine, parity, condition": (
        lambda: Coupling(Parity(6), AffineTransform(3), partial(DENSE, context=3)),
        (6,),
        3,
    ),
    "affine, checkerboard": (lambda: Coupling(Checkerboard(ODD), AffineTransform(3), RESIDUAL), ODD, 0),
    "affine, checkerboard, flipped": (
        lambda: Coupling(Checkerboard(ODD, True), AffineTransform(3), partial(RESIDUAL, context=3)),
        ODD,
        3,
    ),
    "affine, channels": (lambda: Coupling(Halves(3), AffineTransform(1), CONV), ODD, 0),
    "affine, channels, flipped": (lambda: Coupling(Halves(3, True), AffineTransform(2, "sigmoid"), CONV), ODD, 0),
    "spline, parity": (lambda: Coupling(Parity(5), SplineTransform(6, 1.5), DENSE), (5,), 0),
    "spline, channels": (lambda: Coupling(Halves(2), SplineTransform(4, 2.0), CONV), MAP, 0),
    "spline, checkerboard": (lambda: Coupling(Checkerboard(MAP), SplineTransform(4, 2.0), RESIDUAL), MAP, 0),
    "scaling": (lambda: Scaling(6), (6,), 0),
    "actnorm of vectors": (lambda: ActNorm(6), (6,), 0),
    "actnorm of maps": (lambda: ActNorm(3), ODD, 0),
    "invertible convolution": (lambda: InvertibleConv(3), ODD, 0),
    "squeeze": (Squeeze, MAP, 0),
    "flatten": (lambda: Flatten(ODD), ODD, 0),
    "split": (lambda: Split(MAP, Flatten((1, 4, 4))), MAP, 0),
    "split, learned": (lambda: Split(MAP, Flatten((1, 4, 4)), learned=True), MAP, 0),
    "class prior": (lambda: ClassPrior(5, 3), (5,), 3),
    "chain": (lambda: Chain([ActNorm(3), InvertibleConv(3)]), ODD, 0),
}
NETWORKS = {
    "NICE": (partial(NICE, width=8, depth=2), ODD, None),
    "NICE, classes": (partial(NICE, width=8, depth=1), (1, 3, 3), 3),
    "RealNVP, odd": (partial(RealNVP, features=4, blocks=1), ODD, None),
    "RealNVP": (partial(RealNVP, features=4, blocks=1), (1, 8, 4), None),
    "RealNVP, classes": (partial(RealNVP, features=4, blocks=1, levels=1), (3, 4, 4), 3),
    "Glow": (partial(Glow, steps=2, features=4), (1, 8, 4), None),
    "Glow, classes": (partial(Glow, steps=2, features=4), (3, 4, 4), 3),
    "Glow, additive": (partial(Glow, steps=2, features=4, coupling="additive"), (1, 4, 6), None),
    "DenseRealNVP": (partial(DenseRealNVP, width=8), (2, 1, 1), None),
    "DenseRealNVP, classes": (partial(DenseRealNVP, width=8), (1, 3, 3), 3),
    "SplineFlow": (partial(SplineFlow, width=8), (2, 1, 1), None),
    "SplineFlow, classes": (partial(SplineFlow, width=8, bins=5), (3, 1, 1), 3),
}


def stirred(layer: Bijection, by: float) -> Bijection:
    """Returns a layer in float64 whose weights are not those that it starts with, of which many are 0."""
    torch.manual_seed(0)
    layer = layer.double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return layer


def made(name: str) -> tuple[Bijection, Tensor, Tensor | None]:
    """Returns a layer or network, what goes in, and the condition."""
    if name in LAYERS:
        make, shape, context = LAYERS[name]
        layer = stirred(make(), 0.2)
        label = torch.arange(4) % context if context else None
        condition = None if label is None else nn.functional.one_hot(label, context).double()
    else:
        factory, shape, classes = NETWORKS[name]
        layer = stirred(factory(image_shape=shape, num_classes=classes), 0.1)
        condition = None if classes is None else torch.arange(4) % classes
    return layer, torch.randn(4, *shape, dtype=torch.float64), condition


every = pytest.mark.parametrize("name", [*LAYERS, *NETWORKS])


@every
def test_it_is_undone(name: str) -> None:
    layer, x, condition = made(name)
    with torch.no_grad():
        z, log_det = layer(x, condition)
        assert z.shape[0] == 4 and z.numel() == x.numel() and log_det.shape == (4,)
        back = layer.inverse(z, condition)
        assert (back - x).abs().max() < 1e-8
        assert (
            layer(layer.inverse(x.reshape(z.shape), condition), condition)[0] - x.reshape(z.shape)
        ).abs().max() < 1e-8


@every
def test_the_log_determinant_is_the_jacobians(name: str) -> None:
    layer, x, condition = made(name)
    log_det = layer(x, condition)[1]
    for i in range(2):
        one = None if condition is None else condition[i : i + 1]
        jacobian = torch.autograd.functional.jacobian(lambda v, c=one: layer(v, c)[0].flatten(), x[i : i + 1])
        wanted = torch.linalg.slogdet(jacobian.reshape(x[i].numel(), -1))[1]
        torch.testing.assert_close(log_det[i], wanted, rtol=1e-9, atol=1e-9)


@every
def test_every_parameter_gets_a_finite_gradient(name: str) -> None:
    layer, x, condition = made(name)
    x.requires_grad_()
    z, log_det = layer(x, condition)
    (z.square().sum() - log_det.sum()).backward()
    for key, parameter in layer.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize("name", ["NICE", "RealNVP", "Glow", "DenseRealNVP", "SplineFlow"])
def test_checkpointed_activations_change_nothing_but_memory(name: str) -> None:
    factory, shape, _ = NETWORKS[name]
    torch.manual_seed(0)
    plain = factory(image_shape=shape, num_classes=None)
    saving = factory(image_shape=shape, num_classes=None, checkpoint_activations=True)
    saving.load_state_dict(plain.state_dict())
    x, gradients, kept = torch.randn(6, *shape), [], []
    for network in (plain, saving):
        sizes: list[int] = []

        def pack(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        network.train()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            z, log_det = network(x)
        kept.append(sum(sizes))
        (z.square().sum() - log_det.sum()).backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
    assert kept[1] < 0.5 * kept[0]


def test_actnorm_starts_from_its_first_batch_of_training_and_from_no_other() -> None:
    norm, x = ActNorm(3), 5 + 3 * torch.randn(16, 3, 4, 5)
    with torch.no_grad():
        assert torch.equal(norm(x)[0], x)  # sampled, not trained
    assert torch.equal(norm.eval()(x)[0], x)
    z, _ = norm.train()(x)
    torch.testing.assert_close(z.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.var(dim=(0, 2, 3), correction=0), torch.ones(3))
    before = copy.deepcopy(norm.state_dict())
    norm(7 * x + 1)
    fresh = ActNorm(3)
    fresh.load_state_dict(norm.state_dict())
    fresh.train()(7 * x + 1)
    for key, value in before.items():
        assert torch.equal(norm.state_dict()[key], value) and torch.equal(fresh.state_dict()[key], value)
    assert bool(fresh.initialised)


_TWO_RANKS = """
import os, sys, torch, torch.distributed as dist
from functools import partial
from lit_gen.nn.glow import Glow
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
network = Glow((1, 4, 4), None, steps=2, features=4).train()
x = 3 + 2 * torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(1))
network(x[4 * rank : 4 * rank + 4])
torch.save(network.state_dict(), f"{sys.argv[1]}/rank{rank}.pt")
"""


def test_actnorm_starts_alike_on_one_process_and_two(tmp_path: Path) -> None:
    script = tmp_path / "two_ranks.py"
    script.write_text(_TWO_RANKS)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    done = subprocess.run([*torchrun, str(script), str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    torch.manual_seed(0)
    network = Glow((1, 4, 4), None, steps=2, features=4).train()
    network(3 + 2 * torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(1)))
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2))
    for key, value in network.state_dict().items():
        assert torch.equal(first[key], second[key]), key
        torch.testing.assert_close(first[key], value, rtol=1e-5, atol=1e-6, msg=key)


def test_masks_and_halves_move_every_number_and_keep_the_rest() -> None:
    for make, x in (
        (lambda flip: Parity(7, flip), torch.randn(2, 7)),
        (lambda flip: Checkerboard(ODD, flip), torch.randn(2, *ODD)),
        (lambda flip: Halves(3, flip), torch.randn(2, *ODD)),
    ):
        changed = []
        for flip in (False, True):
            part = make(flip)
            kept, moved = part.split(x)
            assert torch.equal(part.merge(kept, moved), x)
            changed.append(part.merge(kept, moved + 1) != x)
        assert torch.equal(changed[0], ~changed[1])


def test_half_precision_stays_within_the_couplings() -> None:
    torch.manual_seed(0)
    for factory, shape, _ in (NETWORKS["Glow"], NETWORKS["RealNVP"]):
        network = factory(image_shape=shape, num_classes=None)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        network.eval()
        x = torch.randn(4, *shape)
        z, log_det = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            z16, log_det16 = network(x)
            back = network.inverse(z16)
        assert z16.dtype == log_det16.dtype == back.dtype == torch.float32
        assert not torch.equal(z16, z)
        torch.testing.assert_close(back, x, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(log_det16, log_det, atol=0.3, rtol=0.02)


def test_sizes_that_cannot_be_halved_are_named() -> None:
    with pytest.raises(UserError, match=r"multiples of 2; these images are 9×13: resize"):
        Glow((1, 9, 13))
    with pytest.raises(UserError, match=r"multiples of 8; these images are 28×28: set levels to 2"):
        RealNVP((1, 28, 28), levels=3)
    with pytest.raises(UserError, match="at least 1"):
        Glow((1, 8, 8), levels=0)
    with pytest.raises(UserError, match="DenseRealNVP"):
        RealNVP((2, 1, 1))
    with pytest.raises(UserError, match="2 numbers"):
        SplineFlow((1, 1, 1))


def test_levels_follow_the_size() -> None:
    def splits(network: nn.Module) -> int:
        return sum(isinstance(layer, Split) for layer in network.modules())

    small = {"features": 2, "blocks": 1}
    assert [splits(RealNVP((1, side, side), **small)) for side in (5, 6, 28, 32, 64)] == [0, 1, 2, 3, 3]
    assert [splits(Glow((3, side, side), steps=1, features=2)) for side in (6, 28, 64)] == [0, 1, 2]


def test_a_way_back_that_leaves_the_range_of_floats_stays_finite() -> None:
    torch.manual_seed(0)
    network = Glow((1, 8, 8), steps=4, features=8)
    z = torch.randn(16, 64)
    network(torch.randn(16, 1, 8, 8))  # norms start
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data.normal_(0, 3)
    with torch.no_grad():
        assert network.inverse(z).isfinite().all()
        next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d)).weight.data.fill_(torch.nan)
        assert network.inverse(z).isnan().any()  # of a network that has diverged
