"""Every method of translation: what must hold of all of them, at an odd size and unlike numbers of channels."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.plugins.precision import MixedPrecision
from torch.optim import Optimizer

from lit_gen.contracts import SupportsTranslate, SupportsTranslateBack
from lit_gen.training.translation import TranslationModule

SCRIPT = Path(__file__).with_name("translation.py")
_spec = importlib.util.spec_from_file_location("translation", SCRIPT)
run = importlib.util.module_from_spec(_spec)
sys.modules["translation"] = run
_spec.loader.exec_module(run)

every_method = pytest.mark.parametrize("name", run.METHODS)


class PhaseWatch(Callback):
    """Checks gradients before each optimizer step, and that only the player at play has moved after it."""

    def __init__(self) -> None:
        self.turns: list[str] = []
        self.before: dict[str, torch.Tensor] = {}

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: TranslationModule, optimizer: Optimizer) -> None:
        self.settle(pl_module)
        self.before = {name: p.detach().clone() for name, p in pl_module.named_parameters()}
        trained = {name: p for name, p in pl_module.named_parameters() if p.requires_grad}
        for name, parameter in trained.items():
            assert parameter.grad is not None and parameter.grad.ne(0).any(), f"{name} got no gradient"
            assert torch.isfinite(parameter.grad).all(), f"{name} has a gradient that is not finite"
        networks = {name.split(".")[0] for name in trained}
        (player,) = (one for one in pl_module.players if set(pl_module.players[one].networks) == networks)
        self.turns.append(player)

    def settle(self, pl_module: TranslationModule) -> None:
        moved = {
            name for name, p in pl_module.named_parameters() if name in self.before and p.ne(self.before[name]).any()
        }
        if self.turns:
            assert {name.split(".")[0] for name in moved} == set(pl_module.players[self.turns[-1]].networks)


@every_method
@pytest.mark.parametrize("accumulate", [1, 2])
def test_each_phase_trains_its_player_and_only_that(name: str, accumulate: int, tmp_path: Path) -> None:
    watch = PhaseWatch()
    options = run.TrainingOptions(accumulate=accumulate)
    model, _ = run.fit(name, tmp_path, 3, own={"options": options}, callbacks=[watch])
    watch.settle(model)
    assert watch.turns == list(model.players) * 3
    for player in model.players.values():
        assert set(player.networks) <= set(run.PLAYERS["generators"]) | {
            "head",
            "mapping",
            "encoder",
            *run.PLAYERS["discriminators"],
        }


@every_method
def test_a_resumed_run_is_the_run_that_never_stopped(name: str, tmp_path: Path) -> None:
    whole, _ = run.fit(name, tmp_path, 7)
    _, trainer = run.fit(name, tmp_path, 3)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = run.fit(name, tmp_path, 7, ckpt_path=tmp_path / "half.ckpt")
    assert whole.state_dict().keys() == resumed.state_dict().keys()
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_what_the_pool_holds_is_needed_for_that(tmp_path: Path) -> None:
    """Were it not restored, the run would end elsewhere."""
    whole, _ = run.fit("cyclegan", tmp_path, 7)
    assert whole.image_pool.num_stored == 3 and whole.source_pool.images.ne(0).any()
    _, trainer = run.fit("cyclegan", tmp_path, 3)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    saved = torch.load(tmp_path / "half.ckpt", weights_only=True)
    saved["state_dict"]["image_pool.images"].zero_()
    torch.save(saved, tmp_path / "emptied.ckpt")
    resumed, _ = run.fit("cyclegan", tmp_path, 7, ckpt_path=tmp_path / "emptied.ckpt")
    weight = "discriminator.layers.0.weight"
    assert not torch.equal(resumed.state_dict()[weight], whole.state_dict()[weight])


@every_method
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision(name: str, precision: str, tmp_path: Path) -> None:
    """Weights stay float32 and finite, and move; with fp16 by a real scaler, none of whose steps is skipped."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    how = (
        {"precision": precision} if precision == "bf16-mixed" else {"plugins": MixedPrecision(precision, "cpu", scaler)}
    )
    model, _ = run.fit(name, tmp_path, 2, **how)
    start = run.tiny(name).state_dict()
    for key, value in model.state_dict().items():
        assert value.dtype not in (torch.bfloat16, torch.float16), key
        assert torch.isfinite(value).all(), key
    for player in model.players.values():
        for network in player.networks:
            assert any(not torch.equal(v, start[k]) for k, v in model.state_dict().items() if k.startswith(network))
    assert precision == "bf16-mixed" or scaler.get_scale() == 2.0**4


@every_method
def test_translation_at_any_size_leaves_no_trace(name: str, tmp_path: Path) -> None:
    model, _ = run.fit(name, tmp_path, 2)
    assert isinstance(model, SupportsTranslate)
    model.train()
    (source, *_), (image, *_) = run.SHAPES[name]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for size in ((9, 13), (32, 32), (5, 40)):
        output = model.translate(run.inputs(name, 2, size))
        assert output.shape == (2, image, *size) and output.dtype == torch.float32
        assert torch.isfinite(output).all() and output.abs().max() <= 1 and not output.requires_grad
        if isinstance(model, SupportsTranslateBack):
            assert model.translate_back({"image": output}).shape == (2, source, *size)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(part.training for part in model.modules())


@every_method
def test_held_out_batches_are_measured_with_the_same_noise_each_time(name: str, tmp_path: Path) -> None:
    class Kept(Callback):
        def __init__(self) -> None:
            self.rows: list[dict[str, float]] = []

        def on_validation_end(self, trainer: Trainer, pl_module: TranslationModule) -> None:
            self.rows.append({k: float(v) for k, v in trainer.callback_metrics.items() if k.endswith("/held_out")})

    model, rows = run.tiny(name), Kept()
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.callbacks.append(rows)  # type: ignore[attr-defined]
    for seed in range(2):
        torch.manual_seed(seed)
        trainer.validate(model, run.batches(name), verbose=False)
    assert rows.rows[0] == rows.rows[1] and len(rows.rows[0]) == 2
    assert all(value == value for value in rows.rows[0].values())


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, torch.Tensor]]]:
    folder = tmp_path_factory.mktemp("translation")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    done = subprocess.run([*torchrun, str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@every_method
def test_two_processes_stay_one_model(two_ranks: list[dict[str, dict[str, torch.Tensor]]], name: str) -> None:
    """On unlike images; parameters are the same on both, pools are each process's own."""
    first, second = (rank[f"whole {name}"] for rank in two_ranks)
    start = run.tiny(name).state_dict()
    for key, value in first.items():
        assert torch.isfinite(value).all(), key
        if "pool.images" in key:
            assert not torch.equal(value, second[key])
        else:
            torch.testing.assert_close(second[key], value, atol=1e-6, rtol=0, msg=key)
    assert any(not torch.equal(value, start[key]) for key, value in first.items())


@every_method
def test_two_processes_resume_exactly(two_ranks: list[dict[str, dict[str, torch.Tensor]]], name: str) -> None:
    for rank in two_ranks:
        for key, value in rank[f"whole {name}"].items():
            assert torch.equal(value, rank[f"resumed {name}"][key]), key


@pytest.mark.parametrize("name", run.STILL)
def test_two_processes_end_where_one_does(
    two_ranks: list[dict[str, dict[str, torch.Tensor]]], name: str, tmp_path: Path
) -> None:
    one, start = run.still(name, tmp_path, 0, 1), run.tiny(name, **run.STILL[name]).state_dict()
    for rank in two_ranks:
        for key, value in one.items():
            if "pool" not in key:  # holds its own process's images
                torch.testing.assert_close(rank[f"still {name}"][key], value, atol=1e-6, rtol=0, msg=key)
    moved = [(one[key] - start[key]).abs().max() for key in one if key.startswith("generator.")]
    assert max(moved) > 1e-4
