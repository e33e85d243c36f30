"""What needs a CUDA device: no waiting for it within a step, half precision, images that stay on it."""

from functools import partial
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback, Trainer

from lit_gen.datamodules import Digits
from lit_gen.models import GAN, Diffusion
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_gen.nn.diffusion_unet import DiffusionUNet
from lit_gen.training.options import TrainingOptions

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def gan(**options: object) -> GAN:
    return GAN(
        (1, 32, 32),
        generator=partial(DCGANGenerator, features=8),
        discriminator=partial(DCGANDiscriminator, features=8),
        options=TrainingOptions(**options),
    )


def trainer(folder: Path, **arguments: object) -> Trainer:
    defaults = {"max_steps": 20, "accelerator": "gpu", "devices": 1, "logger": False, "enable_checkpointing": False}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "limit_val_batches": 0}
    return Trainer(**(defaults | quiet | {"default_root_dir": folder, "log_every_n_steps": 100} | arguments))


class NoWaiting(Callback):
    """Makes every wait for the device an error, from the third step on."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: GAN, batch: object, batch_idx: int) -> None:
        if trainer.global_step >= 2:
            torch.cuda.set_sync_debug_mode("error")

    def teardown(self, trainer: Trainer, pl_module: GAN, stage: str) -> None:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_step_waits_for_nothing(tmp_path: Path, precision: str) -> None:
    data = Digits(on_device=True, horizontal_flip=True)
    trainer(tmp_path, precision=precision, callbacks=[NoWaiting()]).fit(gan(clip_norm=1.0), datamodule=data)


@pytest.mark.parametrize("learned_variance", [False, True])
def test_a_diffusion_step_waits_for_nothing(tmp_path: Path, learned_variance: bool) -> None:
    model = Diffusion(
        (1, 32, 32),
        network=partial(DiffusionUNet, features=8, multipliers=(1, 2), blocks=1, attention=(16,)),
        learned_variance=learned_variance,
    )
    data = Digits(on_device=True, horizontal_flip=True)
    trainer(tmp_path, callbacks=[NoWaiting()]).fit(model, datamodule=data)


def test_a_bound_is_found_on_the_device() -> None:
    """As on the CPU, but for rounding: the step's numbers are made there."""
    torch.manual_seed(0)
    model = Diffusion((1, 8, 8), network=partial(DiffusionUNet, features=8, multipliers=(1,), blocks=1, attention=()))
    image = torch.randint(0, 256, (2, 1, 8, 8)) / 127.5 - 1
    on_cpu = model.log_prob(image, generator=[torch.Generator().manual_seed(i) for i in (0, 1)])
    found = model.cuda().log_prob(image, generator=[torch.Generator().manual_seed(i) for i in (0, 1)])
    torch.testing.assert_close(found.cpu(), on_cpu, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize(
    "options",
    [{}, {"channels_last": True}, {"compile": True}, {"accumulate": 2}, {"matmul_precision": "high"}],
    ids=str,
)
def test_every_switch_trains_in_every_precision(tmp_path: Path, precision: str, options: dict[str, object]) -> None:
    model = gan(**options)
    before = {name: value.clone() for name, value in model.named_parameters()}
    trainer(tmp_path, precision=precision).fit(model, datamodule=Digits())
    for name, value in model.named_parameters():
        assert torch.isfinite(value).all(), name
        assert not torch.equal(value.cpu(), before[name]), name


def test_images_on_the_device_are_the_same_run(tmp_path: Path) -> None:
    ends = []
    for on_device in (False, True):
        torch.manual_seed(0)
        model = gan()
        run = trainer(tmp_path, deterministic=True)
        run.fit(model, datamodule=Digits(on_device=on_device))
        ends.append(torch.nn.utils.parameters_to_vector(model.parameters()).cpu())
    assert torch.equal(*ends)
