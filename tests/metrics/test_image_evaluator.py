"""Scores of single images: each counts once, whatever the batches. This file is also what two processes run."""

import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics.image_evaluator import IMAGE_METRICS, Answer, ImageEvaluator
from lit_gen.metrics.image_result import ImageResult, results_dict
from lit_gen.metrics.image_scores import ImageScores
from lit_gen.metrics.requested import split_names

NUMBERS = (100, 20)  # of the 20 images, one batch, the second process gets none
METRICS = ("psnr", "ssim", "l1", "bpd", "nll")


def answers(evaluator: ImageEvaluator) -> Iterator[Answer]:
    """Image i comes back with its pixels i levels lighter, and has a probability of e^−i."""
    for place, batch in evaluator.batches():
        target = batch["image"] // 2
        output = target + place[:, None, None, None].to(torch.uint8)
        yield Answer(place, output, target, -place.double())


def scores(data: Any, **arguments: Any) -> dict[str, float]:
    evaluator = ImageEvaluator(METRICS, **{"split": "val", "batch_size": 32, **arguments})
    evaluator.prepare(data)
    results = evaluator.evaluate(answers(evaluator))
    return {name: value for result in results for name, value in result.metrics.items()}


def test_closed_forms(squares: Callable[..., Any]) -> None:
    found = scores(squares(50))
    level = torch.arange(50, dtype=torch.float64)
    assert found["l1_mean"] == pytest.approx(float(level.mean()) / 255, rel=1e-12)
    assert found["l1_std"] == pytest.approx(float(level.std()) / 255 / math.sqrt(50), rel=1e-12)
    decibels = (20 * torch.log10(255 / level)).clamp(max=100)  # the first image comes back exactly
    assert found["psnr_mean"] == pytest.approx(float(decibels.mean()), rel=1e-7)
    assert found["nll_mean"] == pytest.approx(24.5, rel=1e-14)
    assert found["bpd_mean"] == pytest.approx(24.5 / (16 * 16 * math.log(2)), rel=1e-12)
    assert found["bpd_std"] == pytest.approx(found["nll_std"] / (16 * 16 * math.log(2)), rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 7, 49, 50, 1000])
def test_any_batch_size(batch_size: int, squares: Callable[..., Any]) -> None:
    data = squares(50, size=13, channels=3)
    assert scores(data, batch_size=batch_size) == pytest.approx(scores(data, batch_size=16), rel=1e-12)


def test_a_part_of_the_split(squares: Callable[..., Any]) -> None:
    # 5 of 50, evenly spaced: images 0, 10, …, 40.
    assert scores(squares(50), num_real=5)["nll_mean"] == pytest.approx(20.0)
    assert scores(squares(50), num_real=5, batch_size=3)["nll_mean"] == pytest.approx(20.0)
    with pytest.raises(UserError, match="the val split of squares has 50 images, from which 51 cannot be taken"):
        scores(squares(50), num_real=51)


def test_the_protocol_does_not_depend_on_what_else_is_asked_for(squares: Callable[..., Any]) -> None:
    def results(metrics: Any, **arguments: Any) -> dict[str, ImageResult]:
        evaluator = ImageEvaluator(metrics, "val", **arguments)
        evaluator.prepare(squares(50))
        found = evaluator.evaluate(answers(evaluator), "raw")
        return {name.partition("_")[0]: result for result in found for name in result.metrics}

    alone, together = results("psnr"), results(["bpd", "psnr", "l1"])
    assert alone["psnr"].protocol == together["psnr"].protocol == together["l1"].protocol
    assert alone["psnr"].protocol.hash == together["psnr"].protocol.hash != together["bpd"].protocol.hash
    assert alone["psnr"].protocol.weights == "raw" and alone["psnr"].protocol.num_images == 50
    assert results("bpd", num_draws=2)["bpd"].protocol.differences(together["bpd"].protocol) == {
        "settings": tuple({"bpd": {"num_draws": num}, "nll": {"num_draws": num}} for num in (2, 1))
    }
    assert "lpips" not in together["psnr"].protocol.settings


def test_results(squares: Callable[..., Any]) -> None:
    evaluator = ImageEvaluator("psnr,nll", "val")
    evaluator.prepare(squares(50), likelihood="binarised images")
    pixels, likelihood = results = evaluator.evaluate(answers(evaluator))
    assert set(pixels.named()) == {f"psnr_{kind}[reconstruction]" for kind in ("mean", "std")}
    lines = likelihood.table().splitlines()
    assert lines[0] == f"nll[likelihood]  24.5 ± {likelihood.metrics['nll_std']:.2g}"
    assert "log-probability of binarised images, ema weights" in likelihood.table()
    assert "psnr: range [0, 1], limit_db 100.0\n" in pixels.table() and "ssim" not in pixels.table()
    assert "50 images of squares, val split" in pixels.table() and pixels.protocol.hash[:8] in pixels.table()
    read = json.loads(json.dumps(results_dict(results), allow_nan=False))
    assert read["metrics"] == dict(pixels.metrics) and read["protocol"] == pixels.protocol.to_dict()
    assert read["more"] == [json.loads(likelihood.to_json())]
    assert "more" not in results_dict(results[:1])


class Wide:
    """The images in colour, twice as wide, and each with the grey one it belongs to."""

    image_shape = (3, 12, 24)

    def __init__(self, data: Any) -> None:
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    def batches(self, split: str, batch_size: int) -> Iterator[dict[str, Tensor]]:
        for batch in self.data.batches(split, batch_size):
            yield {**batch, "source": batch["image"], "image": batch["image"].repeat(1, 3, 1, 2)}


def test_sources_of_another_shape(squares: Callable[..., Any]) -> None:
    data = Wide(squares(20, size=12))
    evaluator = ImageEvaluator(["l1", "ssim"], "val", batch_size=8)
    evaluator.prepare(data, task="translation")  # type: ignore[arg-type]
    made = (Answer(place, batch["image"], batch["image"]) for place, batch in evaluator.batches())
    (result,) = evaluator.evaluate(made)
    assert result.metrics["l1_mean"] == 0 and result.metrics["ssim_mean"] == pytest.approx(1)
    assert (
        result.protocol.image_shape == (3, 12, 24)
        and result.protocol.compared == "translation with the image of the pair"
    )
    wrong = (Answer(place, batch["source"], batch["image"]) for place, batch in evaluator.batches())
    with pytest.raises(UserError, match=r"images are of shape \(1, 12, 12\), those .* of \(3, 12, 24\)"):
        evaluator.evaluate(wrong)


@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
def test_no_mean_of_what_is_not_finite(value: float, squares: Callable[..., Any]) -> None:
    evaluator = ImageEvaluator("bpd", "val", batch_size=8)
    evaluator.prepare(squares(20))
    log_prob = torch.full((20,), -1.0).index_fill(0, torch.tensor(13), value)
    with pytest.raises(UserError, match=f"the bpd of image 13 is {-value}"):
        evaluator.evaluate(Answer(place, log_prob=log_prob[place]) for place, _ in evaluator.batches())


def test_a_density_is_no_probability(squares: Callable[..., Any]) -> None:
    evaluator = ImageEvaluator("nll", "val")
    evaluator.prepare(squares(20))
    with pytest.raises(UserError, match="the mean nll is -3, and no probability of 8-bit images is above 1"):
        evaluator.evaluate(Answer(place, log_prob=torch.full((len(place),), 3.0)) for place, _ in evaluator.batches())


def test_images_that_are_missing_or_come_twice(squares: Callable[..., Any]) -> None:
    evaluator = ImageEvaluator("l1", "val", batch_size=8)
    evaluator.prepare(squares(20))
    with pytest.raises(UserError, match="there were 8 images to score, but 20 are asked for"):
        evaluator.evaluate(list(answers(evaluator))[:1])
    first, *_ = answers(evaluator)
    twice = ImageScores(["l1"])
    for _ in range(2):
        twice.update(torch.zeros(8, 1), first.place)
    with pytest.raises(ValueError, match="an index occurs twice"):
        twice.compute()


def test_names() -> None:
    assert split_names("bpd, fid,segmentation,psnr,fid") == (["fid"], ["bpd", "psnr"], ["segmentation"])
    with pytest.raises(UserError, match=r"there is no metric 'psrn' among fid, .*did you mean 'psnr'"):
        split_names("fid,psrn")
    with pytest.raises(UserError, match="no metric is asked for"):
        split_names([])
    for arguments in ({"metrics": ["fid"]}, {"num_draws": 0}, {"batch_size": 0}):
        with pytest.raises(UserError, match=r"there is no metric 'fid'|must be at least 1"):
            ImageEvaluator(**arguments)  # type: ignore[arg-type]
    assert set(METRICS) | {"lpips"} == set(IMAGE_METRICS)


def _work(rank: int, folder: Path) -> None:
    from conftest import Squares  # this script's folder is the first place to import from

    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    found = [scores(Squares(100), num_real=num) for num in NUMBERS] + [scores(Squares(num)) for num in NUMBERS]
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
        alone = [scores(squares(100), num_real=num) for num in NUMBERS] + [scores(squares(num)) for num in NUMBERS]
        assert [process.wait(timeout=300) for process in processes] == [0, 0]
    finally:
        torch.set_num_threads(threads)
        for process in processes:
            process.kill()
    assert [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)] == [alone, alone]


if __name__ == "__main__":
    _work(int(sys.argv[1]), Path(sys.argv[2]))
