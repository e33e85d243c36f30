"""The codebook: averages by hand, gradients that pass straight through, restarts, two processes as one."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from lit_gen.errors import UserError
from lit_gen.nn.vector_quantizer import VectorQuantizer


def test_codes_under_autocast_are_those_of_float32() -> None:
    torch.manual_seed(1)
    quantizer, z = VectorQuantizer(512, 8), 2.0 + torch.randn(16, 8, 8, 8)
    quantizer.codebook.copy_(2.0 + torch.randn(512, 8))
    with torch.autocast("cpu", torch.bfloat16):
        found = quantizer.nearest(z)
    assert torch.equal(found, quantizer.nearest(z))


def _maps(*rows: list[float]) -> torch.Tensor:
    """Vectors as maps [N, D, 1, 1]."""
    return torch.tensor(rows)[:, :, None, None]


def test_codes_are_the_nearest_and_gradients_pass_straight_through() -> None:
    torch.manual_seed(0)
    quantizer, z = VectorQuantizer(7, 3), torch.randn(2, 3, 4, 5, requires_grad=True)
    e, distance, codes = quantizer(z)
    flat = z.permute(0, 2, 3, 1).reshape(-1, 3)
    assert torch.equal(codes.flatten(), torch.cdist(flat, quantizer.codebook).argmin(1))
    assert torch.equal(codes, quantizer.nearest(z))
    torch.testing.assert_close(e, quantizer.look_up(codes))
    torch.testing.assert_close(distance, (z - quantizer.look_up(codes)).square().mean())
    wanted = torch.randn_like(e)
    assert torch.equal(torch.autograd.grad((e * wanted).sum(), z, retain_graph=True)[0], wanted)
    torch.testing.assert_close(torch.autograd.grad(distance, z)[0], 2 * (z - quantizer.look_up(codes)) / z.numel())


def test_averages_by_hand() -> None:
    quantizer = VectorQuantizer(2, 1, decay=0.9, restart_below=0)
    quantizer.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    quantizer(_maps([1.0], [2.0], [9.0]))
    quantizer.update(0)
    torch.testing.assert_close(quantizer.counts, torch.tensor([0.2, 0.1]))
    torch.testing.assert_close(quantizer.codebook, torch.tensor([[1.5], [9.0]]))
    quantizer(_maps([4.0], [12.0]))
    quantizer(_maps([12.0]))  # the second part of the same batch
    told = quantizer.update(0)
    counts = torch.tensor([0.9 * 0.2 + 0.1, 0.9 * 0.1 + 0.2])
    torch.testing.assert_close(quantizer.counts, counts)
    sums = torch.tensor([0.9 * 0.3 + 0.1 * 4, 0.9 * 0.9 + 0.1 * 24])
    torch.testing.assert_close(quantizer.codebook[:, 0], sums / counts)
    p = 1 / 3
    assert float(told["perplexity"]) == pytest.approx(math.exp(-p * math.log(p) - (1 - p) * math.log(1 - p)))
    assert float(told["codes_used"]) == 2 and float(told["codes_restarted"]) == 0


def test_codes_without_vectors_stay_and_evaluation_moves_nothing() -> None:
    quantizer = VectorQuantizer(3, 1, restart_below=0)
    quantizer.codebook.copy_(torch.tensor([[0.0], [10.0], [-5.0]]))
    quantizer(_maps([1.0], [2.0]))
    quantizer.update(0)
    assert quantizer.codebook[:, 0].tolist() == [1.5, 10.0, -5.0]
    quantizer.eval()
    quantizer(_maps([1.0]))
    quantizer.train()
    with torch.no_grad():
        quantizer(_maps([1.0]))
    assert not quantizer._seen


def test_rare_codes_start_again_from_vectors_of_the_batch() -> None:
    torch.manual_seed(0)
    states = []
    for seed in (3, 3, 4):
        quantizer = VectorQuantizer(8, 2, decay=0.5, restart_below=0.2)
        quantizer.codebook.copy_(torch.arange(16.0).reshape(8, 2) * 100)
        z = torch.randn(32, 2, 1, 1, generator=torch.Generator().manual_seed(0))
        quantizer(z)
        told = quantizer.update(seed)
        assert float(told["codes_restarted"]) == 7
        rows = {tuple(row) for row in z[:, :, 0, 0].tolist()}
        assert len({tuple(row) for row in quantizer.codebook[1:].tolist()} & rows) == 7
        assert quantizer.counts[1:].tolist() == [4.0] * 7, "they count as average"
        states.append(quantizer.codebook.clone())
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])
    quantizer(z)
    assert float(quantizer.update(0)["codes_used"]) > 4


def test_more_rare_codes_than_vectors() -> None:
    quantizer = VectorQuantizer(8, 1)
    quantizer(_maps([0.5], [0.6]))
    assert float(quantizer.update(0)["codes_restarted"]) == 2
    assert quantizer.codebook.isfinite().all()


def test_it_finds_clusters() -> None:
    torch.manual_seed(0)
    centres = torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, 4.0], [0.0, -4.0]])
    quantizer = VectorQuantizer(4, 2, decay=0.9)
    for step in range(60):
        quantizer((centres[torch.arange(64) % 4] + 0.1 * torch.randn(64, 2))[:, :, None, None])
        told = quantizer.update(step)
    assert torch.cdist(centres, quantizer.codebook).min(1).values.max() < 0.1
    assert float(told["perplexity"]) == pytest.approx(4, abs=1e-4)


def test_mistakes_are_named() -> None:
    for arguments, words in (
        ({"num_codes": 1, "code_dim": 3}, "num_codes is 1"),
        ({"num_codes": 4, "code_dim": 3, "decay": 1.0}, "decay is 1.0"),
        ({"num_codes": 4, "code_dim": 3, "restart_below": 2.0}, "restart_below is 2.0"),
    ):
        with pytest.raises(UserError, match=words):
            VectorQuantizer(**arguments)


def _steps(rank: int, num: int) -> dict[str, torch.Tensor]:
    """Some steps, each process on its part of the same vectors; most codes are rare at first."""
    torch.manual_seed(0)
    quantizer = VectorQuantizer(16, 2, decay=0.8, restart_below=0.3)
    for step in range(4):
        z = torch.randn(24, 2, 2, 1, generator=torch.Generator().manual_seed(step)) + 3
        quantizer(z.chunk(num)[rank])
        told = quantizer.update(step)
    return {**quantizer.state_dict(), **told}


def test_two_processes_are_one(tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    done = subprocess.run([*torchrun, __file__, str(tmp_path)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-4000:]
    alone = _steps(0, 1)
    for rank in range(2):
        for key, value in torch.load(tmp_path / f"{rank}.pt", weights_only=True).items():
            torch.testing.assert_close(value, alone[key], msg=f"{key} on rank {rank}")


if __name__ == "__main__":
    dist.init_process_group("gloo")
    torch.save(_steps(dist.get_rank(), 2), Path(sys.argv[1]) / f"{os.environ['RANK']}.pt")
    dist.destroy_process_group()
