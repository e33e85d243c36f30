"""The diffusion transformer: the paper's sizes, how it starts, what each patch is told, images of any size."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, silu

from lit_gen.errors import UserError
from lit_gen.nn.dit import DiT


def small(shape: tuple[int, int, int], num_classes: int | None = None, **arguments: Any) -> DiT:
    torch.manual_seed(0)
    return DiT(shape, num_classes, **({"patch_size": 2, "width": 12, "heads": 3, "depth": 2} | arguments))


def stirred(network: DiT) -> DiT:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


@pytest.mark.parametrize(("shape", "patch_size"), [((1, 28, 28), 4), ((3, 5, 7), 2), ((2, 1, 1), 4), ((4, 3, 17), 3)])
def test_images_of_any_size_start_at_zero(shape: tuple[int, int, int], patch_size: int) -> None:
    network = small(shape, 3, num_outputs=2 * shape[0], patch_size=patch_size)  # learned variances: twice the channels
    x, c, label = torch.randn(2, *shape), torch.tensor([1.0, 900.0], dtype=torch.float64), torch.tensor([0, 3])
    made = network(x, c, label)
    assert made.shape == (2, 2 * shape[0], *shape[1:]) and torch.equal(made, torch.zeros_like(made))
    made = stirred(network)(x, c, label)
    assert made.abs().amin(dim=(2, 3)).min() > 0 and made.std() > 0.01
    torch.testing.assert_close(network(x[1:], c[1:], label[1:]), made[1:])


@pytest.mark.parametrize(
    ("depth", "width", "heads", "millions"),
    [(12, 384, 6, 33.0), (12, 768, 12, 130.5), (24, 1024, 16, 458.1), (28, 1152, 16, 675.1)],
)
def test_it_has_as_many_parameters_as_the_paper_says(depth: int, width: int, heads: int, millions: float) -> None:
    """Of the latents of 256 × 256 images, with patches of 2 × 2: table 4; fixed positions are counted there."""
    with torch.device("meta"):
        network = DiT((4, 32, 32), 1000, 8, patch_size=2, width=width, heads=heads, depth=depth)
    count = sum(parameter.numel() for parameter in network.parameters()) + network.positions.numel()
    assert count / 1e6 == pytest.approx(millions, abs=0.051)


def test_blocks_start_as_the_identity() -> None:
    network = small((1, 6, 6), 3)
    seen: list[tuple[Tensor, Tensor]] = []
    for block in network.blocks:
        block.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0], output)))
    network(torch.randn(2, 1, 6, 6), torch.tensor([3.0, 700.0]), torch.tensor([0, 1]))
    assert len(seen) == 2 and all(torch.equal(before, after) for before, after in seen)
    assert network.first.weight.std() > 0.05 and network.blocks[0].qkv.weight.std() > 0.05


def test_a_block_is_that_of_the_paper() -> None:
    block = stirred(small((1, 6, 6), width=12, heads=3)).double().blocks[0]
    h, e = torch.randn(2, 5, 12, dtype=torch.float64), torch.randn(2, 12, dtype=torch.float64)
    gain1, bias1, gate1, gain2, bias2, gate2 = block.modulation(e)[:, None].chunk(6, dim=-1)
    norm = layer_norm(h, (12,), eps=1e-6) * (1 + gain1) + bias1
    q, k, v = block.qkv(norm).chunk(3, dim=-1)
    heads = []
    for i in range(3):
        part = slice(4 * i, 4 * i + 4)
        shares = (q[..., part] @ k[..., part].mT / math.sqrt(4)).softmax(-1)
        heads.append(shares @ v[..., part])
    mid = h + gate1 * block.mixed(torch.cat(heads, dim=-1))
    norm = layer_norm(mid, (12,), eps=1e-6) * (1 + gain2) + bias2
    wanted = mid + gate2 * block.outer(gelu(block.inner(norm), approximate="tanh"))
    torch.testing.assert_close(block(h, e), wanted)


def test_time_and_class_matter_after_some_steps() -> None:
    network = small((1, 6, 6), 3)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    x, c, label = torch.randn(4, 1, 6, 6), torch.tensor([3.0, 30.0, 300.0, 900.0]), torch.tensor([0, 1, 2, 3])
    for _ in range(3):  # the last layer moves first, then what it reads, then what the norms are told
        loss = (network(x, c, label) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made = network(x, c, label)
    assert not torch.allclose(network(x, c + 50, label), made, atol=1e-5)
    assert not torch.allclose(network(x, c, label.flip(0)), made, atol=1e-5)


def test_patches_are_told_apart_by_their_positions_alone() -> None:
    network = stirred(small((1, 6, 8))).double()
    x, c = torch.randn(1, 1, 6, 8, dtype=torch.float64), torch.tensor([50.0])
    order = torch.tensor([2, 0, 1])

    def rows_of_patches(images: Tensor) -> Tensor:
        return images.unflatten(2, (3, 2))[:, :, order].flatten(2, 3)

    assert not torch.allclose(network(rows_of_patches(x), c), rows_of_patches(network(x, c)), atol=1e-3)
    assert torch.cdist(network.positions, network.positions).add(torch.eye(12).double()).min() > 0.1
    network.positions.zero_()
    torch.testing.assert_close(network(rows_of_patches(x), c), rows_of_patches(network(x, c)))


def test_every_patch_sees_all_others() -> None:
    network = stirred(small((1, 6, 6))).double()
    x = torch.randn(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    network(x, torch.tensor([50.0]))[0, 0, 0, 0].backward()
    assert x.grad is not None and (x.grad != 0).all()


def test_what_cannot_be_is_refused() -> None:
    for arguments in ({"heads": 5}, {"patch_size": 0}, {"depth": 0}):
        with pytest.raises(UserError, match=f"DiT's .*{next(iter(arguments))}"):
            small((1, 8, 8), **arguments)


def test_the_embedding_is_silu_ed_once() -> None:
    """The vector that norms are told is SiLU(time + class), each drawn small."""
    network, seen = small((1, 4, 4), 2), []
    network.blocks[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
    c, label = torch.tensor([5.0, 400.0]), torch.tensor([0, 2])
    network(torch.randn(2, 1, 4, 4), c, label)
    torch.testing.assert_close(seen[0], silu(network.embedding(c, label)))
    assert network.embedding.classes is not None and network.embedding.classes.weight.std() < 0.04
