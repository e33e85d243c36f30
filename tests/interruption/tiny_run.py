"""A run of seconds in which everything happens, and everything that it leaves."""

__all__ = ["COMMAND", "CONFIG", "LAST", "RUN", "SIGNALS", "call", "configure", "end", "own", "saved", "unlike"]

import contextlib
import csv
import io
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from lit_gen.__main__ import main

SIGNALS = [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT]
_TINY = {"features": 2}
CONFIG: dict[str, dict[str, Any]] = {
    "trainer": {
        "max_steps": 12,
        "val_check_interval": 4,
        "check_val_every_n_epoch": None,
        "log_every_n_steps": 3,
        "accelerator": "cpu",
    },
    "model": {
        "class_path": "GAN",
        "init_args": {
            "latent_dim": 4,
            "n_critic": 2,
            "generator": {"class_path": "DCGANGenerator", "init_args": _TINY},
            "discriminator": {"class_path": "DCGANDiscriminator", "init_args": _TINY},
        },
    },
    # 6 batches an epoch
    "data": {"class_path": "Digits", "init_args": {"image_size": 8, "batch_size": 190, "horizontal_flip": True}},
    "samples": {"every_n_steps": 4, "num_samples": 4},
    "ema": {"half_life": 100},
    "evaluation": {"num_samples": 40, "every_n_validations": 2},
    "checkpoint": {"every_n_train_steps": 4},
}
COMMAND = ("fit", "--config", "tiny.yaml", "--ckpt_path", "last")
RUN = Path("runs/tiny/version_0")
LAST = RUN / "checkpoints/last.ckpt"

# The user's own callbacks, which do something at a moment of a test's choice.
_OWN = """
import os
import signal
import time
from pathlib import Path
from pytorch_lightning import Callback


class Moment(Callback):
    def __init__(self, when: str, step: int = 0):
        setattr(self, when, lambda trainer, *_, **__: trainer.global_step == step and self.act(trainer))


class Pause(Moment):
    def act(self, trainer):
        Path(f"waiting{trainer.global_rank}").touch()
        while not Path("go").exists():
            time.sleep(0.02)


class Die(Moment):
    def act(self, trainer):
        os.kill(os.getpid(), signal.SIGKILL)


class FillDisk(Moment):
    def __init__(self, when: str, step: int, folder: str):
        super().__init__(when, step)
        self.folder = folder

    def act(self, trainer):
        try:
            with open(self.folder + "/filler", "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        except OSError:
            pass
"""


def configure(**sections: Mapping[str, Any]) -> None:
    """Writes ``tiny.yaml``; what is given replaces single settings."""
    config = {name: {**section, **sections.get(name, {})} for name, section in CONFIG.items()}
    Path("tiny.yaml").write_text(yaml.safe_dump(config))


def own(callback: str, when: str, step: int = 0, **arguments: Any) -> str:
    """Returns the argument by which a run gets one of the callbacks above, which acts in one hook at one step."""
    Path("own.py").write_text(_OWN)
    callbacks = [{"class_path": f"own.{callback}", "init_args": {"when": when, "step": step, **arguments}}]
    return f"--trainer.callbacks={yaml.safe_dump(callbacks, default_flow_style=True, width=1000)}"


def call(*arguments: str) -> tuple[int, str]:
    """Runs ``lit-gen`` in this process; returns its exit status and what it complained of."""
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        status = main(list(arguments))
    return status, err.getvalue()


def saved(path: Path = LAST) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def end(folder: Path) -> dict[str, Any]:
    """Everything that a run leaves and that does not tell the time."""
    run = folder / RUN
    found = {path: value for path, value in _leaves(saved(folder / LAST)) if "speed" not in path.lower()}
    with (run / "metrics.csv").open(newline="") as file:
        for i, row in enumerate(csv.DictReader(file)):
            found |= {f"row {i} {k}": v for k, v in row.items() if v and not k.startswith("speed/")}
    for path in (run / "samples").iterdir():
        found[path.name] = path.read_bytes()
    for path in (run / "evaluation").iterdir():
        found[path.name] = re.sub(r'"seconds": \{[^}]*\}', "", path.read_text())
    return found


def unlike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Names what differs between two ends."""

    def same(a: Any, b: Any) -> bool:
        return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b

    missing = object()
    return [key for key in {**ours, **theirs} if not same(ours.get(key, missing), theirs.get(key, missing))]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}/{key}")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{path}/{i}")
    else:
        yield path, value
