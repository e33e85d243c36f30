"""Two processes agree on running means, as one process on both batches. This file is also the script each runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from lit_gen.functional.across_processes import mean_across_processes
from lit_gen.functional.path_length import PathLengthRegularization
from lit_gen.nn.stylegan2 import StyleGAN2Generator

LATENTS = torch.arange(24.0).view(6, 4).sin()


def _states(z: torch.Tensor) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    generator, term = StyleGAN2Generator((1, 8, 8), 4, None, 2, 4, 5, 2), PathLengthRegularization(batch_shrink=1)
    torch.manual_seed(int(z.sum().abs() * 1e4))  # noise of its own, as in a run
    generator(z)
    term(generator, z, None)
    return {"w_avg": generator.w_avg, "mean_length": term.mean_length}


def _work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    x = torch.tensor([1.0, 2.0], requires_grad=True) * (rank + 1)
    mean = mean_across_processes(x)
    assert mean.tolist() == [1.5, 3.0] and not mean.requires_grad
    assert x.tolist() == [rank + 1.0, 2 * rank + 2.0]  # left as it was
    torch.save(_states(LATENTS[3 * rank : 3 * rank + 3]), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_two_processes_agree_on_what_they_track(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path)], env={**os.environ}) for rank in range(2)
    ]
    assert [process.wait(120) for process in processes] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name in ("w_avg", "mean_length"):
        assert torch.equal(first[name], second[name]) and first[name].any(), name
    alone = _states(LATENTS)
    torch.testing.assert_close(first["w_avg"], alone["w_avg"])


def test_one_process_has_its_own_mean() -> None:
    x = torch.randn(3, requires_grad=True)
    assert torch.equal(mean_across_processes(x), x)
    assert not mean_across_processes(x).requires_grad


if __name__ == "__main__":
    _work(int(sys.argv[1]), Path(sys.argv[2]))
