"""Two processes, and three, find what one finds. This file is also the script that each of them runs."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from lit_gen.errors import UserError
from lit_gen.metrics import Evaluator
from lit_gen.metrics.distributed import from_rank_zero
from lit_gen.metrics.extractors import Classifier

NUMBERS = (101, 31)  # of the 31 images, one batch, all but the first process get none
METRICS = "fid,is,kid,pr,fid_inf,fid_class,mifid,class_accuracy"


def _scores(data: Any, folder: Path, num_samples: int) -> dict[str, float]:
    evaluator = Evaluator(
        Classifier(cache_dir=str(folder)),
        METRICS,
        num_samples=num_samples,
        batch_size=32,
        kid_subsets=5,
        fid_inf_points=5,
        cache_dir=str(folder),
    )
    evaluator.prepare(data)
    image = torch.cat([batch["image"] for batch in data.batches("val", 64)])
    result = evaluator.evaluate((index, image[index] // 2, index % 4) for index in evaluator.indices())
    return {**result.metrics, "hash": int(result.protocol.extractor_hash[:8], 16)}


def _fail() -> None:
    raise UserError("no weights")


def _work(rank: int, world_size: int, folder: Path) -> None:
    from conftest import Squares  # this script's folder is the first place to import from

    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world_size)
    # Each process has a cache of its own, as on two machines.
    found = [_scores(Squares(109), folder / str(rank), num) for num in NUMBERS]
    with pytest.raises(UserError, match="no weights"):
        from_rank_zero(_fail)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_score_like_one(world_size: int, squares: Callable[..., Any], tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(world_size), str(tmp_path)], env={**os.environ, **address}
        )
        for rank in range(world_size)
    ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = [_scores(squares(109), tmp_path / "alone", num) for num in NUMBERS]
        assert [process.wait(timeout=300) for process in processes] == [0] * world_size
    finally:
        torch.set_num_threads(threads)
        for process in processes:
            process.kill()
    first, *others = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(world_size))
    assert all(other == first for other in others)
    for one, several in zip(alone, first, strict=True):
        assert {"fid_std", "fid_inf", "fid_class/3", "mifid", "recall"} <= set(one)
        # Only sums depend on who adds them up, in the last digits; rows do not.
        for name in ("fid", "fid_std"):
            assert several.pop(name) == pytest.approx(one.pop(name), rel=1e-9)
        assert several == one


if __name__ == "__main__":
    _work(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
