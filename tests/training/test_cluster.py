"""Checkpoints go from any number of processes to any other; sharded training equals unsharded."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).with_name("cluster_run.py")
_spec = importlib.util.spec_from_file_location("cluster_run", SCRIPT)
run = importlib.util.module_from_spec(_spec)
sys.modules["cluster_run"] = run
_spec.loader.exec_module(run)
TRAIN_IMAGES, BATCH = 1297, 100


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all of `cluster_run` has happened, and what goes before and after on one process."""
    folder, here = tmp_path_factory.mktemp("ranks"), Path.cwd()
    before, data = run.CONFIG.index("model:"), run.CONFIG.index("data:")
    (folder / "tiny.yaml").write_text(run.CONFIG)
    autoencoder = "model: {class_path: cluster_run.Bottleneck}\n"
    (folder / "autoencoder.yaml").write_text(run.CONFIG[:before] + autoencoder + run.CONFIG[data:])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIT_GEN_CACHE", str(folder / "cache"))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(SCRIPT.parent), *filter(None, [os.environ.get("PYTHONPATH")])]))
        os.chdir(folder)
        try:
            run.fit("one", run.STOP_ONE)
            shutil.copytree("runs_one", "runs_one_to_two")
            done = subprocess.run([*torchrun, str(SCRIPT)], capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr[-4000:]
            (folder / "said").write_text(done.stderr)
            shutil.copytree("runs_two", "runs_two_to_one")
            run.fit("two_to_one", 20, "--ckpt_path", "last")
        finally:
            os.chdir(here)
    return folder


def seen(runs: Path, name: str, rank: int) -> dict[str, Any]:
    return json.loads((runs / f"{name}.rank{rank}.json").read_text())


def checkpoint(runs: Path, name: str, config: str = "tiny") -> dict[str, Any]:
    path = runs / f"runs_{name}" / config / "version_0" / "checkpoints" / "last.ckpt"
    return torch.load(path, weights_only=True)


def images(*batches: list[dict[str, Any]]) -> list[int]:
    return [index for part in batches for batch in part for index in batch["index"]]


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: leaf for name, item in items for key, leaf in leaves(item, f"{path}/{name}").items()}
    return {path: value}


def same(a: Any, b: Any) -> bool:
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_resumed_on_as_many_processes_it_is_bit_for_bit_the_run_never_stopped(runs):
    whole, resumed = leaves(checkpoint(runs, "whole")), leaves(checkpoint(runs, "stopped"))
    assert whole.keys() == resumed.keys()
    # Lightning counts the epoch in which `max_steps` ends a run as one that is over.
    not_of_training = ("Throughput", "speed", "/loops/")
    compared = [path for path in whole if path != "/epoch" and not any(word in path for word in not_of_training)]
    differing = [path for path in compared if not same(whole[path], resumed[path])]
    assert differing == []
    assert any("optimizer_states/1" in path for path in compared)
    assert any("callbacks/EMA/average" in path for path in compared)
    for rank in range(2):
        never_stopped = seen(runs, "whole_9", rank)["batches"]
        parts = [seen(runs, f"stopped_{step}", rank)["batches"] for step in (run.STOP_TWO, 9)]
        # The sample grid before the first step is not drawn again.
        assert [*parts[0][1:], *parts[1]] == never_stopped[1:]


def test_processes_draw_unlike_noise(runs):
    first, second = ([batch["noise"] for batch in seen(runs, "whole_9", rank)["batches"]][1:] for rank in range(2))
    assert len(first) == len(second) == 8
    assert all(latent not in other for noise, other in zip(first, second, strict=True) for latent in noise)


def test_every_rank_has_the_same_number_of_batches(runs):
    """1,297 images are neither 6 nor 12 full batches."""
    for name in ("whole_9", "one_to_two_16"):
        assert [seen(runs, name, rank)["epoch_size"] for rank in range(2)] == [TRAIN_IMAGES // (2 * BATCH)] * 2
        assert len({len(seen(runs, name, rank)["batches"]) for rank in range(2)}) == 1
    assert seen(runs, "two_to_one_20", 0)["epoch_size"] == TRAIN_IMAGES // BATCH


def test_one_process_goes_on_where_two_stopped(runs):
    stopped = [seen(runs, f"two_{run.STOP_TWO}", rank)["batches"] for rank in range(2)]
    resumed = seen(runs, "two_to_one_20", 0)
    rest = (TRAIN_IMAGES - run.STOP_TWO * 2 * BATCH) // BATCH
    epoch = images(*stopped, resumed["batches"][:rest])
    assert len(epoch) == len(set(epoch)) == TRAIN_IMAGES // BATCH * BATCH, "an image was seen twice, or left out"
    following = images(resumed["batches"][rest : rest + 12])
    assert len(following) == len(set(following)) == 1200
    assert following != epoch
    assert [batch["images_seen"] for batch in resumed["batches"][:2]] == [900, 1000]
    assert [validation["step"] for validation in resumed["validations"]] == [4 + rest, 4 + rest + 12]
    assert checkpoint(runs, "two_to_one")["global_step"] == 20
    assert checkpoint(runs, "two_to_one")["lr_schedulers"][0]["last_epoch"] == 20


def test_two_processes_go_on_where_one_stopped(runs):
    stopped = seen(runs, f"one_{run.STOP_ONE}", 0)["batches"]
    resumed = [seen(runs, "one_to_two_16", rank) for rank in range(2)]
    rest = (TRAIN_IMAGES - run.STOP_ONE * BATCH) // (2 * BATCH)
    epoch = images(stopped, *(rank["batches"][:rest] for rank in resumed))
    assert len(epoch) == len(set(epoch)) == (run.STOP_ONE + 2 * rest) * BATCH
    following = images(*(rank["batches"][rest : rest + 6] for rank in resumed))
    assert len(following) == len(set(following)) == 1200
    for rank in resumed:
        assert [batch["images_seen"] for batch in rank["batches"][:2]] == [900, 1100]
        assert [validation["step"] for validation in rank["validations"]] == [7 + rest, 7 + rest + 6]
    assert checkpoint(runs, "one_to_two")["global_step"] == 16
    assert checkpoint(runs, "one_to_two")["lr_schedulers"][0]["last_epoch"] == 16


def test_checkpoints_and_validation_have_the_mean_of_the_ranks_statistics(runs):
    ranks = [seen(runs, "whole_9", rank) for rank in range(2)]
    own = [[torch.tensor(buffer) for buffer in rank["before"]] for rank in ranks]
    saved = checkpoint(runs, "whole")
    names = [name for name in saved["state_dict"] if name.endswith(("running_mean", "running_var"))]
    assert len(names) == len(own[0]) > 0
    for name, first, second in zip(names, *own, strict=True):
        assert not torch.equal(first, second)
        torch.testing.assert_close(saved["state_dict"][name], (first + second) / 2, atol=1e-7, rtol=1e-6)
    for rank in ranks:  # and the model that training leaves is that of the checkpoint
        assert [torch.tensor(buffer).tolist() for buffer in rank["after"]] == ranks[0]["after"]
    for name, buffer in zip(names, ranks[0]["after"], strict=True):
        assert torch.equal(torch.tensor(buffer), saved["state_dict"][name])
    validations = [rank["validations"] for rank in ranks]
    assert validations[0] == validations[1]
    assert [validation["step"] for validation in validations[0]] == [6]
    assert validations[0][0]["statistics"]


def test_sharded_training_equals_data_parallel_and_resumes(runs):
    whole, sharded = checkpoint(runs, "data_parallel", "autoencoder"), checkpoint(runs, "sharded", "autoencoder")
    assert sharded["global_step"] == whole["global_step"] == 7
    for name, value in whole["state_dict"].items():
        torch.testing.assert_close(sharded["state_dict"][name], value, atol=1e-6, rtol=0)
    momenta = [ckpt["optimizer_states"][0]["state"] for ckpt in (whole, sharded)]
    for i, state in momenta[0].items():
        torch.testing.assert_close(momenta[1][i]["momentum_buffer"], state["momentum_buffer"], atol=1e-6, rtol=0)


def test_a_sharded_checkpoint_is_loaded_without_processes(runs):
    from lit_gen import load

    path = runs / "runs_sharded" / "autoencoder" / "version_0" / "checkpoints" / "last.ckpt"
    model = load(path, trust=["cluster_run"])
    weights = checkpoint(runs, "data_parallel", "autoencoder")["state_dict"]
    assert torch.allclose(model.encoder[1].weight, weights["encoder.1.weight"], atol=1e-6)


def test_what_cannot_be_sharded_is_refused_in_a_line(runs):
    text = (runs / "said").read_text()
    assert "ModelParallelStrategy shards parameters, under which alternating players cannot be frozen" in text
    assert "give ModelParallelStrategy save_distributed_checkpoint false" in text
    assert "give ModelParallelStrategy data_parallel_size 2 and tensor_parallel_size 1" in text
    assert "off are EMA, SampleGrid, Evaluation" in text
    assert not (runs / "refused").exists()
