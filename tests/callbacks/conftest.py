"""A GAN that trains in milliseconds, and real images for it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer

from lit_gen.datamodules import Digits
from lit_gen.metrics.extractors import TorchModule
from lit_gen.models import GAN
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator


@pytest.fixture
def gan() -> Callable[..., GAN]:
    def make(**arguments: Any) -> GAN:
        torch.manual_seed(1)
        defaults = {
            "generator": partial(DCGANGenerator, features=4),
            "discriminator": partial(DCGANDiscriminator, features=4),
            "latent_dim": 5,
        }
        return GAN((1, 8, 8), 10, **(defaults | arguments))

    return make


@pytest.fixture
def digits() -> Callable[[], Digits]:
    """Every run gets its own: a datamodule belongs to a trainer."""
    return lambda: Digits(batch_size=16, image_size=8, val_size=50, test_size=40)


@pytest.fixture
def pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], TorchModule]:
    """Makes an extractor whose features are the pixels."""
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path / "cache"))
    return lambda: TorchModule("torch.nn.Flatten", label="pixels")


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., Trainer]:
    def make(**arguments: Any) -> Trainer:
        defaults = {
            "max_steps": 6,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "limit_val_batches": 0,
            "default_root_dir": tmp_path,
            "log_every_n_steps": 2,
        }
        if "callbacks" in arguments and any(hasattr(it, "save_top_k") for it in arguments["callbacks"]):
            del defaults["enable_checkpointing"]
        if "val_check_interval" in arguments:
            defaults |= {"limit_val_batches": 1, "check_val_every_n_epoch": None}
        return Trainer(**(defaults | arguments))

    return make
