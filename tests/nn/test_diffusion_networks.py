"""Denoisers: shapes of any size, what they are told, and how they start."""

from typing import Any

import pytest
import torch

from lit_gen.errors import UserError
from lit_gen.nn.dense_denoiser import DenseDenoiser
from lit_gen.nn.diffusion_blocks import Doubling, MapAttention, TimedBlock, group_norm
from lit_gen.nn.diffusion_unet import DiffusionUNet
from lit_gen.nn.log_variance import LogVariance
from lit_gen.nn.time_embedding import waves


def small(shape: tuple[int, int, int], num_classes: int | None = None, **arguments: Any) -> DiffusionUNet:
    settings = {"features": 8, "multipliers": (1, 2), "blocks": 1, "attention": (4,)} | arguments
    return DiffusionUNet(shape, num_classes, **settings)


def stirred(network: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 4), (2, 5, 7), (1, 1, 1), (4, 3, 17)])
@pytest.mark.parametrize("multipliers", [(1,), (1, 2), (1, 2, 2)])
def test_images_of_any_size(shape: tuple[int, int, int], multipliers: tuple[int, ...]) -> None:
    network = small(shape, num_outputs=2 * shape[0], multipliers=multipliers)
    x, c = torch.randn(3, *shape), torch.tensor([1.0, 500.0, 1000.0], dtype=torch.float64)
    made = network(x, c)
    assert made.shape == (3, 2 * shape[0], *shape[1:]) and torch.equal(made, torch.zeros_like(made))
    assert stirred(network)(x, c).abs().max() > 0.01


@pytest.mark.parametrize("kind", [small, lambda *a: DenseDenoiser(*a, width=16, depth=2)], ids=["U-Net", "dense"])
def test_time_and_class_matter_and_other_images_do_not(kind: Any) -> None:
    network = stirred(kind((1, 6, 6), 3))
    x, c, label = torch.randn(4, 1, 6, 6), torch.tensor([3.0, 30.0, 300.0, 900.0]), torch.tensor([0, 1, 2, 3])
    made = network(x, c, label)  # the class after the last is that of no class
    torch.testing.assert_close(network(x[2:3], c[2:3], label[2:3])[0], made[2])
    assert not torch.allclose(network(x, c + 50, label), made, atol=1e-4)
    assert not torch.allclose(network(x, c, label.flip(0)), made, atol=1e-4)


def test_the_dense_denoiser_takes_points() -> None:
    network = DenseDenoiser((2, 1, 1), width=8, depth=2, num_outputs=4)
    assert network(torch.randn(5, 2, 1, 1), torch.ones(5)).shape == (5, 4, 1, 1)


def test_attention_is_between_all_positions_and_starts_as_the_identity() -> None:
    attention, x = MapAttention(8, 4).double(), torch.randn(1, 8, 3, 2, dtype=torch.float64)
    assert torch.equal(attention(x), x) and attention.heads == 2
    stirred(attention)
    q, k, v = attention.qkv(attention.norm(x)).flatten(2)[0].view(3, 2, 4, 6)
    heads = [v[i] @ (q[i].T @ k[i] / 2).softmax(dim=1).T for i in range(2)]
    wanted = x + attention.out(torch.cat(heads).view(1, 8, 3, 2))
    torch.testing.assert_close(attention(x), wanted)


def test_doubling_is_repetition_and_a_convolution() -> None:
    layer, x = Doubling(3).double(), torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    plain = torch.nn.Conv2d(3, 3, 3, padding=1).double()
    plain.load_state_dict(layer.state_dict())  # a checkpoint's names are a convolution's
    wanted = plain(torch.nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(layer(x), wanted)
    found = torch.autograd.grad(layer(x).square().sum(), (x, *layer.parameters()))
    torch.testing.assert_close(found, torch.autograd.grad(wanted.square().sum(), (x, *plain.parameters())))


def test_a_block_is_told_the_time_by_gain_and_bias() -> None:
    block: Any = stirred(TimedBlock(4, 8, 6).double())
    x, e = torch.randn(2, 4, 3, 3, dtype=torch.float64), torch.randn(2, 6, dtype=torch.float64)
    silu = torch.nn.functional.silu
    gain, bias = block.time(silu(e)).view(2, 2, 8, 1, 1).unbind(1)
    h = (1 + gain) * block.norm2(block.conv1(silu(block.norm1(x)))) + bias
    torch.testing.assert_close(block(x, e), block.shortcut(x) + block.conv2(silu(h)))


def test_waves_tell_any_two_steps_apart() -> None:
    told = waves(torch.arange(1, 1001, dtype=torch.float64), 32)
    apart = torch.cdist(told, told) + 10 * torch.eye(1000)
    assert told.shape == (1000, 32) and apart.min() > 0.05
    assert waves(torch.zeros(1), 5).shape == (1, 5)


def test_norms_have_groups_of_four_channels_or_more() -> None:
    found = {features: group_norm(features).num_groups for features in (1, 4, 24, 64, 128, 320)}
    assert found == {1: 1, 4: 1, 24: 4, 64: 16, 128: 32, 320: 32}


def test_uncertainty_starts_at_zero() -> None:
    assert torch.equal(LogVariance()(torch.tensor([0.1, 3.0])), torch.zeros(2))


def test_what_cannot_be_is_refused() -> None:
    for make in (
        lambda: small((1, 8, 8), multipliers=()),
        lambda: small((1, 8, 8), blocks=0),
        lambda: DenseDenoiser((2, 1, 1), width=0),
    ):
        with pytest.raises(UserError):
            make()
