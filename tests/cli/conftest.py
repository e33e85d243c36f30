"""One tiny trained run of each kind, and the command line called in this process."""

import contextlib
import io
import os
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lit_gen.__main__ import main

TINY = """
trainer: {max_steps: 12, val_check_interval: 6, check_val_every_n_epoch: null, log_every_n_steps: 2, accelerator: cpu}
model:
  class_path: GAN
  init_args:
    generator: {class_path: DCGANGenerator, init_args: {features: 4}}
    discriminator: {class_path: DCGANDiscriminator, init_args: {features: 4}}
    latent_dim: 8
data: {class_path: Digits, init_args: {image_size: null, batch_size: 16}}
samples: {every_n_steps: 6, num_samples: 4}
evaluation: {num_samples: 40}
ema: {half_life: 100}
checkpoint: {every_n_train_steps: 4}
"""

TINY_DIFFUSION = """
trainer: {max_steps: 2, val_check_interval: 2, check_val_every_n_epoch: null, limit_val_batches: 1, accelerator: cpu}
model:
  class_path: Diffusion
  init_args:
    network: {class_path: DiffusionUNet, init_args: {features: 8, multipliers: [1, 2], blocks: 1, attention: []}}
    sampler: {class_path: DDIM, init_args: {steps: 3}}
data: {class_path: Digits, init_args: {image_size: null, batch_size: 16}}
samples: {num_samples: 4}
evaluation: {num_samples: 40}
"""


class Said(NamedTuple):
    """What a command returned and printed."""

    status: int
    out: str
    err: str


Call = Callable[..., Said]


def call(*arguments: object) -> Said:
    """Runs ``lit-gen`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    handler = signal.getsignal(signal.SIGINT)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            status = main([str(argument) for argument in arguments])
    finally:
        signal.signal(signal.SIGINT, handler)
    return Said(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIT_GEN_CACHE", str(tmp_path_factory.getbasetemp() / "cli-cache"))
        patch.delenv("LIT_GEN_DATA", raising=False)
        yield


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the session's own, and no data root; a module's, so that the real data are there for other tests."""
    with _environment(tmp_path_factory):
        yield


@pytest.fixture
def lit_gen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """``lit-gen`` in an empty folder that holds ``tiny.yaml``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)
    return call


Fit = Callable[..., Path]


@pytest.fixture(scope="session")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """``lit-gen fit`` in a folder, which returns the run's."""

    def run(folder: Path, *arguments: object) -> Path:
        before = Path.cwd()
        os.chdir(folder)
        try:
            with _environment(tmp_path_factory):
                said = call("fit", *arguments)
        finally:
            os.chdir(before)
        assert said.status == 0, said.err
        return next((folder / "runs").glob("*/version_0"))

    return run


def _trained(fit: Fit, folder: Path, *arguments: object) -> Path:
    (folder / "tiny.yaml").write_text(TINY)
    return fit(folder, "--config", "tiny.yaml", *arguments)


@pytest.fixture(scope="session")
def trained(fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of 12 steps."""
    return _trained(fit, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def conditional(fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for a conditional model, after 2 steps and without scores."""
    labels = ("--model.conditional", "true", "--trainer.max_steps", 2, "--evaluation.metrics", "[]")
    return _trained(fit, tmp_path_factory.mktemp("trained"), *labels)


@pytest.fixture(scope="session")
def fit_diffusion(fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """Trains a tiny diffusion model, as further arguments say, and returns the run's folder."""

    def run(*arguments: object) -> Path:
        folder = tmp_path_factory.mktemp("diffusion")
        (folder / "tiny.yaml").write_text(TINY_DIFFUSION)
        return fit(folder, "--config", "tiny.yaml", *arguments)

    return run


@pytest.fixture
def found(lit_gen: Call, trained: Path) -> Path:
    """The last checkpoint of a run's folder that came from elsewhere."""
    shutil.copytree(trained, "found/version_0")
    return Path("found/version_0/checkpoints/last.ckpt")
