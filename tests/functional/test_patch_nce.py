"""The patchwise contrastive loss against closed forms."""

import math

import torch

from lit_gen.functional.patch_nce import patch_nce


def test_orthogonal_patches_in_closed_form() -> None:
    """With orthonormal embeddings, equal in both, a patch's loss is log(1 + (S − 1)·e^(−1/τ))."""
    q = torch.eye(5)[:4].expand(2, 4, 5)
    for tau in (0.07, 0.5):
        expected = math.log1p(3 * math.exp(-1 / tau))
        torch.testing.assert_close(patch_nce(q, q, tau), torch.tensor(expected))


def test_patches_that_are_all_alike_are_told_by_chance() -> None:
    q = torch.nn.functional.normalize(torch.ones(3, 6, 2), dim=2)
    torch.testing.assert_close(patch_nce(q, q), torch.tensor(math.log(6)))


def test_the_worst_order_in_closed_form() -> None:
    """Two patches exchanged: log(1 + e^(1/τ)) each."""
    q = torch.eye(2)[None]
    torch.testing.assert_close(patch_nce(q, q.flip(1), 0.1), torch.tensor(math.log1p(math.exp(10.0))))


def test_negatives_are_of_the_same_image() -> None:
    torch.manual_seed(0)
    q, k = (torch.nn.functional.normalize(torch.randn(3, 4, 5), dim=2) for _ in range(2))
    alone = [patch_nce(q[i : i + 1], k[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(patch_nce(q, k), torch.stack(alone).mean())
    rows = [
        -torch.log_softmax(torch.stack([q[b, s] @ k[b, t] / 0.07 for t in range(4)]), 0)[s]
        for b in range(3)
        for s in range(4)
    ]
    torch.testing.assert_close(patch_nce(q, k), torch.stack(rows).mean())


def test_keys_are_constants_and_half_precision_is_left() -> None:
    q, k = (torch.randn(2, 3, 4, requires_grad=True) for _ in range(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = patch_nce(q, k)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, patch_nce(q, k), rtol=0, atol=0)
    loss.backward()
    assert k.grad is None and q.grad.ne(0).any()
