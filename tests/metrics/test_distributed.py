"""Two processes find what one finds. This file is also the script that each of them runs."""

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

NUMBERS = (100, 20)  # of the 20 images, one batch, the second process gets none


def _scores(data: Any, folder: Path, num_samples: int) -> dict[str, float]:
    evaluator = Evaluator(
        Classifier(cache_dir=str(folder)), num_samples=num_samples, batch_size=32, kid_subsets=5, cache_dir=str(folder)
    )
    evaluator.prepare(data)
    image = torch.cat([batch["image"] for batch in data.batches("val", 64)])
    result = evaluator.evaluate((index, image[index] // 2) for index in evaluator.indices())
    return {**result.metrics, "hash": int(result.protocol.extractor_hash[:8], 16)}


def _fail() -> None:
    raise UserError("no weights")


def _work(rank: int, folder: Path) -> None:
    from conftest import Squares  # this script's folder is the first place to import from

    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    # Each process has a cache of its own, as on two machines.
    found = [_scores(Squares(100), folder / str(rank), num) for num in NUMBERS]
    with pytest.raises(UserError, match="no weights"):
        from_rank_zero(_fail)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def test_two_processes_score_like_one(squares: Callable[..., Any], tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    processes = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path)], env={**os.environ, **address})
        for rank in range(2)
    ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = [_scores(squares(100), tmp_path / "alone", num) for num in NUMBERS]
        assert [process.wait(timeout=300) for process in processes] == [0, 0]
    finally:
        torch.set_num_threads(threads)
        for process in processes:
            process.kill()
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second
    for one, both in zip(alone, first, strict=True):
        assert both.pop("fid") == pytest.approx(one.pop("fid"), rel=1e-9)
        assert both == one


if __name__ == "__main__":
    _work(int(sys.argv[1]), Path(sys.argv[2]))
