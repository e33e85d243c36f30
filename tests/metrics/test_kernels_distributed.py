"""Metrics of rows on two and three processes: the last bit of one's. This file is also the script each of them runs."""

import json
import subprocess
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from lit_gen.metrics import (
    DensityAndCoverage,
    Features,
    GaussianKernelDistance,
    KernelDistance,
    MeanDiscrepancy,
    PrecisionRecall,
)

SIZES = ((41, 7), (41, 20), (10, 5))  # images, and the size of batches: three, four or no batches of the last process


def _scores(rank: int, world: int) -> list[dict[str, float]]:
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(50, 6, generator=generator), 1.3 * torch.randn(41, 6, generator=generator)
    scores = []
    for num, size in SIZES:
        score: dict[str, float] = {}
        for metric in (
            KernelDistance(real, subsets=5, subset_size=10, seed=3),
            GaussianKernelDistance(real, sigma=3.0, subsets=5, subset_size=10, seed=3),
            PrecisionRecall(real),
            DensityAndCoverage(real),
            MeanDiscrepancy(real),
        ):
            metric.update(Features(fake[:0]), torch.empty(0, dtype=torch.int64))
            for index in torch.arange(num).split(size)[rank::world]:
                metric.update(Features(fake[index]), index)
            score |= {name: float(value) for name, value in metric.compute().items()}
        scores.append(score)
    return scores


def _work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    found = {}
    for world in (3, 2):
        if rank < world:
            dist.init_process_group("gloo", f"file://{folder}/{world}", rank=rank, world_size=world)
            found[str(world)] = _scores(rank, world)
            dist.destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps(found))


def test_two_and_three_processes_score_like_one(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path)]) for rank in range(3)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = _scores(0, 1)
        assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    finally:
        torch.set_num_threads(threads)
        for process in processes:
            process.kill()
    for rank, worlds in enumerate((("2", "3"), ("2", "3"), ("3",))):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == dict.fromkeys(worlds, alone)
    assert len({score["precision"] for score in alone}) > 1 and 0.0 < alone[0]["coverage"] < 1.0


if __name__ == "__main__":
    _work(int(sys.argv[1]), Path(sys.argv[2]))
