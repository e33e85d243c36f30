"""Networks within couplings. None has batch norm: an image's density must not depend on the rest of its batch.

The last layer of each starts at zero, so that couplings start as the identity or nearly so.
"""

__all__ = ["ConvNetwork", "DenseNetwork", "ResidualNetwork"]

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from lit_gen.errors import UserError
from lit_gen.nn.act_norm import ActNorm


def _joined(x: Tensor, condition: Tensor | None, context: int) -> Tensor:
    """Appends the condition [B, K] or [B, K, H, W] to the channels, if the network has a place for it."""
    if not context:
        return x
    assert condition is not None and condition.shape[1] == context, "the network needs its condition"
    if condition.ndim < x.ndim:
        condition = condition[:, :, None, None].expand(-1, -1, *x.shape[2:])
    return torch.cat([x, condition.to(x.dtype)], dim=1)


def _zeroed(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class DenseNetwork(nn.Module):
    """Creates dense layers with ReLUs, for vectors.

    Arguments:
        inputs: The numbers that come in.
        outputs: The numbers that go out.
        context: The numbers of the condition.
        width: The units of each hidden layer.
        depth: The hidden layers.
    """

    def __init__(self, inputs: int, outputs: int, context: int = 0, width: int = 1000, depth: int = 5) -> None:
        super().__init__()
        if width < 1 or depth < 1:
            raise UserError(f"a coupling network's width is {width} and its depth {depth}; both must be at least 1")
        self.context = context
        sizes = [inputs + context, *[width] * depth]
        hidden = [m for i, o in itertools.pairwise(sizes) for m in (nn.Linear(i, o), nn.ReLU())]
        self.layers = nn.Sequential(*hidden, _zeroed(nn.Linear(width, outputs)))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Maps [B, inputs] to [B, outputs]."""
        return self.layers(_joined(x, condition, self.context))


class ConvNetwork(nn.Module):
    """Creates Glow's network for maps: 3×3, ReLU, 1×1, ReLU, 3×3, with ActNorm before the ReLUs.

    References:
        | Glow: Generative Flow with Invertible 1×1 Convolutions (Kingma & Dhariwal, 2018), sections 3.3 and B
        | https://arxiv.org/abs/1807.03039

    Arguments:
        inputs: The channels that come in.
        outputs: The channels that go out.
        context: The channels of the condition.
        features: The hidden channels.
    """

    def __init__(self, inputs: int, outputs: int, context: int = 0, features: int = 512) -> None:
        super().__init__()
        if features < 1:
            raise UserError(f"a coupling network's features is {features}, and must be at least 1")
        self.context = context
        self.conv1 = nn.Conv2d(inputs + context, features, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(features, features, 1, bias=False)
        self.norm1, self.norm2 = ActNorm(features), ActNorm(features)
        self.last = _zeroed(nn.Conv2d(features, outputs, 3, padding=1))
        for layer in (self.conv1, self.conv2):
            nn.init.normal_(layer.weight, 0.0, 0.05)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Maps [B, inputs, H, W] to [B, outputs, H, W]."""
        h = relu(self.norm1(self.conv1(_joined(x, condition, self.context)))[0])
        return self.last(relu(self.norm2(self.conv2(h))[0]))


class ResidualNetwork(nn.Module):
    """Creates RealNVP's residual network for maps, without its batch norm: blocks start as the identity instead.

    References:
        | Density Estimation Using Real NVP (Dinh, Sohl-Dickstein & Bengio, 2017), section 4.1
        | https://arxiv.org/abs/1605.08803

        | Deep Residual Learning for Image Recognition (He et al., 2016)
        | https://arxiv.org/abs/1512.03385

    Arguments:
        inputs: The channels that come in.
        outputs: The channels that go out.
        context: The channels of the condition.
        features: The hidden channels.
        blocks: The residual blocks.
    """

    def __init__(self, inputs: int, outputs: int, context: int = 0, features: int = 64, blocks: int = 8) -> None:
        super().__init__()
        if features < 1 or blocks < 1:
            raise UserError(f"a residual network's features is {features} and blocks {blocks}; both must be at least 1")
        self.context = context
        self.first = nn.Conv2d(inputs + context, features, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(features, features, 3, padding=1),
                nn.ReLU(),
                _zeroed(nn.Conv2d(features, features, 3, padding=1)),
            )
            for _ in range(blocks)
        )
        self.last = _zeroed(nn.Conv2d(features, outputs, 1))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Maps [B, inputs, H, W] to [B, outputs, H, W]."""
        h = self.first(_joined(x, condition, self.context))
        for block in self.blocks:
            h = h + block(h)
        return self.last(relu(h))
