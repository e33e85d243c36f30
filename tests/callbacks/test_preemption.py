"""Signals: who is told, who decides, and who was there before."""

import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector

from lit_gen.callbacks.preemption import Preempted, Preemption
from lit_gen.callbacks.run_checkpoints import RunCheckpoints
from lit_gen.datamodules import Digits
from lit_gen.models import GAN
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_gen.training.interruption import SignalWatch

SIGNALS = [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT]


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Every test leaves the handlers as they were."""
    before = handlers()
    yield
    assert handlers() == before
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


class At(Callback):
    """Does something in one hook, at one step."""

    def __init__(self, hook: str, step: int, act: Any) -> None:
        def run(trainer: Trainer, *_: Any, **__: Any) -> None:
            if trainer.global_step == step:
                act()

        setattr(self, hook, run)


def fit(folder: Path, *callbacks: Callback, **settings: Any) -> Trainer:
    checkpoints = RunCheckpoints()
    checkpoints.folder = folder
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[Preemption(), *callbacks, checkpoints],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_steps": 4, "limit_val_batches": 0, **settings},
    )
    data = Digits(image_size=8, batch_size=64)
    networks = {"generator": DCGANGenerator, "discriminator": DCGANDiscriminator}
    model = GAN(data.image_shape, latent_dim=4, **{name: partial(net, features=2) for name, net in networks.items()})
    trainer.fit(model, datamodule=data)
    return trainer


def send(number: int) -> Any:
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("hook", ["on_train_batch_start", "on_train_batch_end"])
def test_a_signal_ends_training_after_the_batch(tmp_path: Path, hook: str, number: int) -> None:
    """Also in Python, with any trainer; callbacks after ours have seen the batch."""
    seen: list[int] = []
    later = At("on_train_batch_end", 3, lambda: seen.append(3))
    step = 2 if hook.endswith("start") else 3
    with pytest.raises(Preempted, match=rf"stopped by {signal.Signals(number).name}; go on from .*last\.ckpt"):
        fit(tmp_path, At(hook, step, send(number)), later)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 3
    assert seen == [3]


def test_a_signal_in_the_very_first_batch(tmp_path: Path) -> None:
    with pytest.raises(Preempted):
        fit(tmp_path, At("on_train_batch_start", 0, send(signal.SIGTERM)))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 1


def test_a_signal_before_the_first_batch_ends_it_at_once(tmp_path: Path) -> None:
    with pytest.raises(Preempted, match=r"stopped by SIGTERM$"):
        fit(tmp_path, At("on_fit_start", 0, send(signal.SIGTERM)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_train_end"])
def test_a_signal_after_the_last_batch_changes_nothing(tmp_path: Path, hook: str) -> None:
    trainer = fit(tmp_path, At(hook, 4, send(signal.SIGTERM)))
    assert trainer.global_step == 4
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4


def test_an_error_puts_the_handlers_back(tmp_path: Path) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(tmp_path, At("on_train_batch_start", 1, fail))  # and `restored` looks


def test_the_second_ctrl_c_is_one() -> None:
    with SignalWatch(deferred=True) as watch:
        os.kill(os.getpid(), signal.SIGINT)
        assert watch.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_ctrl_c_after_another_signal_ends_it_at_once_but_other_signals_do_not(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with SignalWatch(deferred=True) as watch:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        assert watch.received == signal.SIGUSR1
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert capfd.readouterr().err == "lit-gen: SIGTERM: finishing the batch, then writing a checkpoint\n"


def test_what_is_ignored_stays_ignored() -> None:
    """``nohup`` and background jobs of a script start processes so."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with SignalWatch():
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    signal.signal(signal.SIGINT, before)


def test_a_forked_worker_is_not_told() -> None:
    with SignalWatch():
        worker = os.fork()
        if worker == 0:
            os.kill(os.getpid(), signal.SIGUSR1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 0


def test_outside_the_main_thread_nothing_is_watched() -> None:
    found: list[list[Any]] = []

    def look() -> None:
        with SignalWatch():
            found.append(handlers())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [handlers()]


def test_lightning_handles_no_signals_itself(tmp_path: Path) -> None:
    """Both are Lightning's own, which an upgrade may rename: then they would be back unnoticed."""
    assert callable(_TrainingEpochLoop._broadcast_sigterm_tensor)
    assert callable(_SignalConnector.register_signal_handlers)
    during: list[list[Any]] = []
    received: list[bool] = []
    look = At("on_train_batch_end", 3, lambda: during.append(handlers()))
    told = At("on_train_batch_start", 2, send(signal.SIGTERM))
    with pytest.raises(Preempted):
        fit(tmp_path, look, told, Catch("on_exception", lambda trainer: received.append(trainer.received_sigterm)))
    assert received == [False]
    assert {getattr(handler, "__self__", None).__class__ for handler in during[0]} == {SignalWatch}


class Catch(Callback):
    """Does something with the trainer in one hook."""

    def __init__(self, hook: str, act: Any) -> None:
        setattr(self, hook, lambda trainer, *_: act(trainer))


class Ranks:
    """As much of two processes as their agreement needs: what the other one says is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, other: int = 0) -> None:
        self.other, self.messages = other, []
        monkeypatch.setattr(torch.distributed, "all_reduce", self.all_reduce)

    def all_reduce(self, tensor: torch.Tensor, operation: Any, group: Any) -> None:
        assert operation == torch.distributed.ReduceOp.MAX
        assert group == "gloo"
        self.messages.append(tensor.device.type)
        tensor.clamp_(min=self.other)


def agreement(steps: range, preemption: Preemption) -> list[int]:
    class At:
        global_step = 0

    found = []
    for At.global_step in steps:
        found.append(preemption._agreed(At))  # type: ignore[arg-type]
    return found


def two(every: int) -> Preemption:
    preemption = Preemption(agree_every_n_steps=every)
    preemption.watch, preemption._group = SignalWatch(deferred=True), "gloo"
    return preemption


def test_processes_agree_every_few_steps_through_their_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = Ranks(monkeypatch)
    assert agreement(range(1, 101), two(10)) == [0] * 100
    assert ranks.messages == ["cpu"] * 10
    ranks.other = signal.SIGTERM
    assert agreement(range(1, 13), two(10)) == [0] * 9 + [signal.SIGTERM] + [0] * 2


def test_they_agree_after_a_validation_too(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks, preemption = Ranks(monkeypatch), two(10)
    agreement(range(1, 12), preemption)
    preemption.on_validation_end(None, None)  # type: ignore[arg-type]
    ranks.other = signal.SIGUSR1
    assert agreement(range(12, 14), preemption) == [signal.SIGUSR1, 0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_agreement_does_not_wait_for_the_device(tmp_path: Path) -> None:
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        preemption = two(1)
        preemption._group = torch.distributed.new_group(backend="gloo")
        torch.cuda.init()
        torch.cuda.set_sync_debug_mode("error")
        assert agreement(range(1, 4), preemption) == [0, 0, 0]
        with pytest.raises(RuntimeError, match="synchroniz"):
            torch.zeros(1, device="cuda").item()
    finally:
        torch.cuda.set_sync_debug_mode("default")
        torch.distributed.destroy_process_group()


def test_an_interval_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"agree_every_n_steps is 0"):
        Preemption(agree_every_n_steps=0)
