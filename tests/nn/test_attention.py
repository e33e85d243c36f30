"""Self-attention against its formula, twice differentiable."""

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from lit_gen.errors import UserError
from lit_gen.nn.attention import SelfAttention


def explicit(layer: SelfAttention, x: Tensor) -> Tensor:
    """Position by position: o_j = Σ_i softmax_i(f(x_i)ᵀ g(x_j)) h(x_i), over pooled positions i."""

    def conv(weight: Tensor, x: Tensor) -> Tensor:
        return torch.einsum("oc,bchw->bohw", weight[:, :, 0, 0], x)

    def pooled(x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        rows = [
            torch.stack([x[:, :, i : i + 2, j : j + 2].amax((2, 3)) for j in range(0, width, 2)], -1)
            for i in range(0, height, 2)
        ]
        return torch.stack(rows, 2).flatten(2)

    q = conv(layer.query.weight, x).flatten(2)
    k, v = pooled(conv(layer.key.weight, x)), pooled(conv(layer.value.weight, x))
    o = torch.einsum("bij,bci->bcj", torch.einsum("bci,bcj->bij", k, q).softmax(1), v)
    return x + layer.gamma * conv(layer.out.weight, o.unflatten(2, x.shape[2:]))


@pytest.mark.parametrize("shape", [(2, 8, 6, 4), (2, 16, 5, 3), (1, 3, 1, 1)])
def test_it_is_its_formula(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(shape[1]).double(), torch.randn(shape, dtype=torch.float64)
    assert torch.equal(layer(x), x), "it starts as the identity"
    nn.init.constant_(layer.gamma, 0.7)
    torch.testing.assert_close(layer(x), explicit(layer, x))
    assert not torch.allclose(layer(x), x)


def test_widths_are_the_paper_s() -> None:
    layer = SelfAttention(64)
    widths = {name: conv.out_channels for name, conv in layer.named_children()}
    assert widths == {"query": 8, "key": 8, "value": 32, "out": 64}
    assert all(conv.bias is None for conv in layer.children())
    with pytest.raises(UserError, match="features"):
        SelfAttention(0)


def test_it_can_be_differentiated_twice() -> None:
    torch.manual_seed(0)
    layer = SelfAttention(2).double()
    nn.init.constant_(layer.gamma, 0.7)
    weights = [p.detach().requires_grad_() for p in layer.parameters()]
    names = [name for name, _ in layer.named_parameters()]

    def f(x: Tensor, *weights: Tensor) -> Tensor:
        return functional_call(layer, dict(zip(names, weights, strict=True)), (x,))

    x = torch.randn(1, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(f, (x, *weights))
    assert gradgradcheck(f, (x, *weights))
