"""The layers of the Inception network whose features published scores are computed from, before it is prepared."""

__all__ = ["inception_layers"]

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d

Size: TypeAlias = int | tuple[int, int]
Layer: TypeAlias = tuple[str, int, Size]
"""The name of a convolution within its block, its channels and its kernel's size."""


class _Convolution(nn.Module):
    """Creates a convolution without bias, its batch norm and a rectifier."""

    def __init__(self, channels: int, out: int, size: Size, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn(self.conv(x))
        return y.relu_()


class _Block(nn.Module):
    """Creates chains of convolutions side by side, whose channels are put behind each other, those of a pooling last.

    Images keep their size; in a block that halves it, the last convolution of every chain and the pooling take steps of
    two without padding.

    Arguments:
        channels: The channels that come in.
        chains: The convolutions of each chain.
        pooled: The channels of the convolution after the pooling; 0 where the block halves the size: there is none.
        forks: The channels of the pair of convolutions, 1 × 3 and 3 × 1, side by side, that end all chains but the
            first; 0 for none.
        maximum: Whether the largest value is pooled, as always where the size is halved, and not the mean of
            those within the image.
    """

    branch_pool: nn.Module

    def __init__(
        self, channels: int, chains: Sequence[Sequence[Layer]], pooled: int = 0, forks: int = 0, maximum: bool = False
    ) -> None:
        super().__init__()
        self.maximum, self.halves = maximum or not pooled, not pooled
        self.chains: list[list[str]] = []
        self.forks: list[list[str]] = []
        for number, chain in enumerate(chains):
            width = channels
            for place, (name, out, size) in enumerate(chain):
                halving = self.halves and place == len(chain) - 1
                self._add(name, width, out, size, halving)
                width = out
            fork = []
            if forks and number:
                stem = f"{chain[0][0].removesuffix('_1')}_{len(chain) + 1}"
                fork = [f"{stem}a", f"{stem}b"]
                self._add(fork[0], width, forks, (1, 3))
                self._add(fork[1], width, forks, (3, 1))
            self.chains.append([name for name, _, _ in chain])
            self.forks.append(fork)
        if pooled:
            self._add("branch_pool", channels, pooled, 1)

    def _add(self, name: str, channels: int, out: int, size: Size, halving: bool = False) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        padding: Size = 0 if halving else (height // 2, width // 2)
        self.add_module(name, _Convolution(channels, out, size, 2 if halving else 1, padding))

    def forward(self, x: Tensor) -> Tensor:
        parts = []
        for names, fork in zip(self.chains, self.forks, strict=True):
            y = x
            for name in names:
                y = getattr(self, name)(y)
            parts += [getattr(self, name)(y) for name in fork] or [y]
        stride, padding = (2, 0) if self.halves else (1, 1)
        if self.maximum:
            y = max_pool2d(x, 3, stride, padding)
        else:
            y = avg_pool2d(x, 3, stride, padding, count_include_pad=False)  # TensorFlow's mean leaves the border out
        parts.append(y if self.halves else self.branch_pool(y))
        return torch.cat(parts, dim=1)


def _small(channels: int, pooled: int) -> _Block:
    double: list[Layer] = [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)]
    five: list[Layer] = [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)]
    return _Block(channels, [[("branch1x1", 64, 1)], five, double], pooled)


def _first_halving(channels: int) -> _Block:
    double: list[Layer] = [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)]
    return _Block(channels, [[("branch3x3", 384, 3)], double])


def _long(channels: int, width: int) -> _Block:
    along, down, name = (1, 7), (7, 1), "branch7x7dbl"
    seven: list[Layer] = [("branch7x7_1", width, 1), ("branch7x7_2", width, along), ("branch7x7_3", 192, down)]
    double: list[Layer] = [(f"{name}_1", width, 1), (f"{name}_2", width, down), (f"{name}_3", width, along)]
    double += [(f"{name}_4", width, down), (f"{name}_5", 192, along)]
    return _Block(channels, [[("branch1x1", 192, 1)], seven, double], 192)


def _second_halving(channels: int) -> _Block:
    name = "branch7x7x3"
    three: list[Layer] = [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3)]
    seven: list[Layer] = [(f"{name}_1", 192, 1), (f"{name}_2", 192, (1, 7)), (f"{name}_3", 192, (7, 1))]
    return _Block(channels, [three, [*seven, (f"{name}_4", 192, 3)]])


def _wide(channels: int, maximum: bool) -> _Block:
    three: list[Layer] = [("branch3x3_1", 384, 1)]
    double: list[Layer] = [("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3)]
    return _Block(channels, [[("branch1x1", 320, 1)], three, double], 192, forks=384, maximum=maximum)


def inception_layers() -> nn.Sequential:
    """Returns the network's layers in their order; weights are named as torch-fidelity names them.

    They lead from images [N, 3, 299, 299] in [−1, 1] to features [N, 2048, 1, 1], and from these, flat, to logits
    [N, 1008].

    It is the network as TensorFlow's file of 2015 has it: means are taken within the image, and the last block pools
    the largest value where its twin before it pools the mean. torch-fidelity has it, too, and brings with it
    torchvision and all that this imports: 0.17 GB.

    References:
        | Rethinking the Inception Architecture for Computer Vision (Szegedy et al., 2016)
        | https://arxiv.org/abs/1512.00567
    """
    network = nn.Sequential()
    for name, layer in {
        "Conv2d_1a_3x3": _Convolution(3, 32, 3, stride=2),
        "Conv2d_2a_3x3": _Convolution(32, 32, 3),
        "Conv2d_2b_3x3": _Convolution(32, 64, 3, padding=1),
        "MaxPool_1": nn.MaxPool2d(3, 2),
        "Conv2d_3b_1x1": _Convolution(64, 80, 1),
        "Conv2d_4a_3x3": _Convolution(80, 192, 3),
        "MaxPool_2": nn.MaxPool2d(3, 2),
        "Mixed_5b": _small(192, 32),
        "Mixed_5c": _small(256, 64),
        "Mixed_5d": _small(288, 64),
        "Mixed_6a": _first_halving(288),
        "Mixed_6b": _long(768, 128),
        "Mixed_6c": _long(768, 160),
        "Mixed_6d": _long(768, 160),
        "Mixed_6e": _long(768, 192),
        "Mixed_7a": _second_halving(768),
        "Mixed_7b": _wide(1280, maximum=False),
        "Mixed_7c": _wide(2048, maximum=True),
        "AvgPool": nn.AdaptiveAvgPool2d(1),
        "fc": nn.Linear(2048, 1008),
    }.items():
        network.add_module(name, layer)
    return network
