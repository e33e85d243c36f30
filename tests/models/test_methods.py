"""Every adversarial method with a configuration: what must hold of all of them, at an odd size and one channel."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.plugins.precision import MixedPrecision
from torch.optim import Optimizer

from lit_gen.training.adversarial import AdversarialModule
from lit_gen.training.seeding import generators

SCRIPT = Path(__file__).with_name("methods.py")
_spec = importlib.util.spec_from_file_location("methods", SCRIPT)
methods = importlib.util.module_from_spec(_spec)
sys.modules["methods"] = methods
_spec.loader.exec_module(methods)

every_method = pytest.mark.parametrize("name", methods.METHODS)


class PhaseWatch(Callback):
    """Checks gradients before each optimizer step, and that only the player at play has moved after it."""

    def __init__(self) -> None:
        self.players: list[str] = []
        self.before: dict[str, torch.Tensor] = {}

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: AdversarialModule, optimizer: Optimizer) -> None:
        self.settle(pl_module)
        self.before = {name: p.detach().clone() for name, p in pl_module.named_parameters()}
        trained = {name: p for name, p in pl_module.named_parameters() if p.requires_grad}
        for name, parameter in trained.items():
            assert parameter.grad is not None, f"{name} got no gradient"
            assert torch.isfinite(parameter.grad).all(), f"{name} has a gradient that is not finite"
        (player,) = {name.split(".")[0] for name in trained}
        self.players.append(player)

    def settle(self, pl_module: AdversarialModule) -> None:
        moved = {
            name for name, p in pl_module.named_parameters() if name in self.before and p.ne(self.before[name]).any()
        }
        if self.players:
            assert moved, "nothing moved"
            assert {name.split(".")[0] for name in moved} == {self.players[-1]}


@every_method
def test_each_phase_trains_its_player_and_only_that(name: str, tmp_path: Path) -> None:
    watch = PhaseWatch()
    model, _ = methods.fit(name, tmp_path, 3, callbacks=[watch])
    watch.settle(model)
    assert set(watch.players) == set(model.players)
    assert watch.players[0] == "discriminator"


@every_method
def test_a_resumed_run_is_the_run_that_never_stopped(name: str, tmp_path: Path) -> None:
    whole, _ = methods.fit(name, tmp_path, 5)
    _, trainer = methods.fit(name, tmp_path, 2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = methods.fit(name, tmp_path, 5, ckpt_path=tmp_path / "half.ckpt")
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


@every_method
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision(name: str, precision: str, tmp_path: Path) -> None:
    """Weights stay float32 and finite, and move; with fp16 by a real scaler, none of whose steps is skipped."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    how = (
        {"precision": precision} if precision == "bf16-mixed" else {"plugins": MixedPrecision(precision, "cpu", scaler)}
    )
    model, _ = methods.fit(name, tmp_path, 2, **how)
    start = methods.tiny(name).state_dict()
    for key, value in model.state_dict().items():
        assert value.dtype not in (torch.bfloat16, torch.float16), key
        assert torch.isfinite(value).all(), key
    for player in ("generator.", "discriminator."):
        assert any(not torch.equal(v, start[k]) for k, v in model.state_dict().items() if k.startswith(player))
    assert precision == "bf16-mixed" or scaler.get_scale() == 2.0**4


@every_method
def test_samples_depend_on_their_own_noise_alone(name: str, tmp_path: Path) -> None:
    model, _ = methods.fit(name, tmp_path, 2)
    model.eval()
    label = None if model.num_classes is None else torch.tensor([0, 1, 2, 0, 1])
    whole = model.sample(5, label, generators(0, range(5)))
    assert whole.shape == (5, *methods.SHAPES[name])
    assert torch.isfinite(whole).all()
    one = model.sample(1, None if label is None else label[3:4], generators(0, [3]))
    torch.testing.assert_close(one[0], whole[3], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(whole[0], whole[3], atol=1e-6), "all samples are the same"


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, torch.Tensor]]]:
    folder = tmp_path_factory.mktemp("methods")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    done = subprocess.run([*torchrun, str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@every_method
def test_two_processes_stay_one_model(two_ranks: list[dict[str, dict[str, torch.Tensor]]], name: str) -> None:
    """On unlike images; parameters, and what regularizers and augmentations remember, are the same on both."""
    first, second = (rank[name] for rank in two_ranks)
    start = methods.tiny(name).state_dict()
    for key, value in first.items():
        assert torch.isfinite(value).all(), key
        torch.testing.assert_close(second[key], value, atol=1e-6, rtol=0, msg=key)
    assert any(not torch.equal(value, start[key]) for key, value in first.items())
