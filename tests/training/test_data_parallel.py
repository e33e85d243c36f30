"""Two processes train as one does, and send each gradient once."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer

from lit_gen.errors import UserError

SCRIPT = Path(__file__).with_name("parallel_run.py")
_spec = importlib.util.spec_from_file_location("parallel_run", SCRIPT)
run = importlib.util.module_from_spec(_spec)
sys.modules["parallel_run"] = run
_spec.loader.exec_module(run)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    done = subprocess.run([*torchrun, str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-4000:]
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("scenario", run.SCENARIOS)
def test_two_processes_end_where_one_does(two_ranks: list[dict[str, Any]], scenario: str) -> None:
    one, trainer = run.train(1, **run.SCENARIOS[scenario])
    for rank in two_ranks:
        assert rank[scenario]["steps"] == trainer.global_step == run.STEPS
        assert rank[scenario]["images"] == one.images_seen == run.STEPS * run.BATCH
        for name, value in one.state_dict().items():
            torch.testing.assert_close(rank[scenario]["state"][name], value, atol=1e-6, rtol=0, msg=name)


@pytest.mark.parametrize("scenario", run.SCENARIOS)
def test_each_player_s_gradients_cross_once_per_step(two_ranks: list[dict[str, Any]], scenario: str) -> None:
    model = run.SplitNoiseGAN()
    d, g = (sum(p.numel() for p in network.parameters()) for network in (model.discriminator, model.generator))
    every = run.SCENARIOS[scenario].get("n_critic", 1)
    steps = {"discriminator": run.STEPS, "generator": -(-run.STEPS // every)}
    if scenario == "lazy":  # in batches 0, 2 and 4 one more
        steps["discriminator"] += 3
    if scenario == "lazy_generator":  # in batches 0 and 4
        steps["generator"] += 2
    for rank in two_ranks:
        assert rank[scenario]["bytes"] == 4 * (steps["discriminator"] * d + steps["generator"] * g)


def test_scenarios_are_unlike(two_ranks: list[dict[str, Any]]) -> None:
    """Had penalty, critic steps or clipping no effect, the tests above would prove nothing of them."""
    ends = {name: two_ranks[0][name]["state"]["discriminator.layers.0.weight"] for name in run.SCENARIOS}
    for name in ("penalty", "n_critic", "clip", "lazy", "lecam"):
        assert not torch.allclose(ends[name], ends["plain"], atol=1e-4)
    assert not torch.allclose(ends["lazy_generator"], ends["n_critic"], atol=1e-4)
    assert two_ranks[0]["ada"]["state"]["augmentation.p"] != 0.5
    torch.testing.assert_close(ends["accumulate"], ends["plain"], atol=1e-6, rtol=0)


def test_one_reducer_for_all_players_is_refused(tmp_path: Path) -> None:
    trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp_spawn", logger=False, enable_checkpointing=False)
    model = run.SplitNoiseGAN()
    model.trainer = trainer
    with pytest.raises(UserError, match="ddp_adversarial"):
        model.setup("fit")


def test_sharding_is_refused() -> None:
    from pytorch_lightning.strategies import ModelParallelStrategy

    from lit_gen.training.strategy import check_strategy

    with pytest.raises(UserError, match="ModelParallelStrategy shards"):
        check_strategy(ModelParallelStrategy())
