"""A flow's training step over that of a well-kept flow library, and a flow's inverse over its forward pass.

Both sides have the same architecture, batch and optimizer (Adam), and start from plain tensors on the device:

* ``glow``: squeeze, steps of ActNorm, 1×1 convolution by LU and affine coupling, two levels; against normflows;
* ``affine``: affine couplings of dense layers; against zuko;
* ``spline``: rational-quadratic spline couplings of dense layers; against zuko.

The two take turns; the median of the runs' ratios is the result, below 1 where ours is faster. The libraries are not
among the project's dependencies:

    python -m pip install normflows zuko
    python benchmarks/flow_step.py --steps 50 --runs 7
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import normflows
import torch
import zuko
from torch import Tensor, nn
from zuko.flows.coupling import GeneralCouplingTransform

from lit_gen.functional.base_distributions import StandardNormal
from lit_gen.nn.act_norm import ActNorm
from lit_gen.nn.bijection import Bijection, Chain, Flatten
from lit_gen.nn.coupling import Coupling
from lit_gen.nn.coupling_networks import ConvNetwork, DenseNetwork
from lit_gen.nn.coupling_transforms import AffineTransform, SplineTransform
from lit_gen.nn.flow_priors import Split
from lit_gen.nn.invertible_conv import InvertibleConv
from lit_gen.nn.partitions import Halves, Parity
from lit_gen.nn.squeeze import Squeeze

SHAPE, STEPS, FEATURES, IMAGES = (1, 28, 28), 8, 64, 64
COUPLINGS, WIDTH, BINS, POINTS = 8, 128, 8, 256


class Side(NamedTuple):
    """One library's flow: its parameters, its log-likelihood, and its two directions."""

    module: nn.Module
    log_prob: Callable[[Tensor], Tensor]
    forward: Callable[[Tensor], object]
    inverse: Callable[[], object]
    """Maps latents of the batch's size back."""


def our_side(network: Bijection, x: Tensor) -> Side:
    base, z = StandardNormal(), torch.randn(len(x), x[0].numel(), device=x.device)

    def log_prob(x: Tensor) -> Tensor:
        z, log_det = network(x)
        return base.log_prob(z) + log_det

    return Side(network, log_prob, network, lambda: network.inverse(z))


def our_glow(x: Tensor) -> Side:
    def steps(channels: int) -> list[Bijection]:
        layers: list[Bijection] = []
        for _ in range(STEPS):
            network, half = partial(ConvNetwork, features=FEATURES), Halves(channels)
            coupling = Coupling(half, AffineTransform(half.moved, "sigmoid"), network)
            layers += [ActNorm(channels), InvertibleConv(channels), coupling]
        return layers

    inner = Chain([Squeeze(), *steps(8), Flatten((8, 7, 7))])
    return our_side(Chain([Squeeze(), *steps(4), Split((4, 14, 14), inner)]).to(x.device), x)


def their_glow(x: Tensor) -> Side:
    def level(channels: int) -> list[nn.Module]:
        block = partial(normflows.flows.GlowBlock, channels, FEATURES, net_actnorm=True)
        return [*(block() for _ in range(STEPS)), normflows.flows.Squeeze()]

    shapes = ((8, 7, 7), (2, 14, 14))
    bases = [normflows.distributions.DiagGaussian(shape, trainable=False) for shape in shapes]
    flow = normflows.MultiscaleFlow(bases, [level(8), level(4)], [normflows.flows.Merge()], class_cond=False)
    flow = flow.to(x.device)
    z = [torch.randn(len(x), *shape, device=x.device) for shape in shapes]
    return Side(flow, partial(flow.log_prob, y=None), flow.inverse_and_log_det, lambda: flow.forward_and_log_det(z))


def our_dense(x: Tensor, spline: bool) -> Side:
    network = partial(DenseNetwork, width=WIDTH, depth=2)
    layers: list[Bijection] = [
        Coupling(Parity(2, i % 2 == 1), SplineTransform(BINS, 5.0) if spline else AffineTransform(1), network)
        for i in range(COUPLINGS)
    ]
    return our_side(Chain(layers).to(x.device), x)


def their_dense(x: Tensor, spline: bool) -> Side:
    shapes = [(BINS,), (BINS,), (BINS - 1,)]
    kind = {"univariate": zuko.transforms.MonotonicRQSTransform, "shapes": shapes} if spline else {}
    flow = zuko.flows.RealNVP(2, transforms=COUPLINGS, hidden_features=(WIDTH, WIDTH), **kind).to(x.device)
    assert all(isinstance(layer, GeneralCouplingTransform) for layer in flow.transform.transforms)
    z = torch.randn(len(x), 2, device=x.device)
    return Side(
        flow, lambda x: flow().log_prob(x), lambda x: flow().transform.call_and_ladj(x), lambda: flow().transform.inv(z)
    )


def images(device: torch.device) -> Tensor:
    return torch.rand(IMAGES, *SHAPE, device=device)


def points(device: torch.device) -> Tensor:
    return torch.randn(POINTS, 2, device=device)


CASES = {
    "glow": (images, our_glow, their_glow),
    "affine": (points, partial(our_dense, spline=False), partial(their_dense, spline=False)),
    "spline": (points, partial(our_dense, spline=True), partial(their_dense, spline=True)),
}


def seconds(run: Callable[[], object], times: int, device: torch.device) -> float:
    for _ in range(3):
        run()
    _synchronise(device)
    start = time.perf_counter()
    for _ in range(times):
        run()
    _synchronise(device)
    return (time.perf_counter() - start) / times


def step(side: Side, x: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    (-side.log_prob(x).mean()).backward()
    optimizer.step()


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50, help="timed steps per run")
    parser.add_argument("--runs", type=int, default=7, help="runs of each, taking turns")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name in arguments.cases:
        data, *makers = CASES[name]
        torch.manual_seed(0)
        x = data(device)
        sides = [maker(x) for maker in makers]
        adams = [torch.optim.Adam(side.module.parameters(), lr=1e-4) for side in sides]
        sizes = [sum(p.numel() for p in side.module.parameters()) for side in sides]
        steps, ours, theirs = [], [], []
        for run in range(arguments.runs):
            order = (0, 1) if run % 2 == 0 else (1, 0)
            taken = {i: seconds(partial(step, sides[i], x, adams[i]), arguments.steps, device) for i in order}
            steps.append(taken[0] / taken[1])
            with torch.no_grad():
                for side, ratios in zip(sides, (ours, theirs), strict=True):
                    forward = seconds(partial(side.forward, x), arguments.steps, device)
                    ratios.append(seconds(side.inverse, arguments.steps, device) / forward)
        print(f"{name}: {sizes[0]:,} parameters, the library's {sizes[1]:,}")
        for what, ratios in (
            ("training step, ours over theirs", steps),
            ("inverse over forward, ours", ours),
            ("inverse over forward, theirs", theirs),
        ):
            print(f"  {what}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
