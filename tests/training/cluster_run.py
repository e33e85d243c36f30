"""Runs under torchrun, and alone: small trainings through the command line; every process writes down what it saw."""

import json
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import SGD

from lit_gen.__main__ import main
from lit_gen.training.module import GenerativeModule

CONFIG = """
trainer: {log_every_n_steps: 2, accelerator: cpu, max_steps: 9, check_val_every_n_epoch: 1, val_check_interval: 1.0}
model:
  class_path: GAN
  init_args:
    generator: {class_path: DCGANGenerator, init_args: {features: 4}}
    discriminator: {class_path: DCGANDiscriminator, init_args: {features: 4}}
    generator_schedule: {class_path: CosineAnnealingLR, init_args: {T_max: 50}}
    latent_dim: 8
data: {class_path: Digits, init_args: {image_size: null, batch_size: 100, horizontal_flip: true}}
samples: {every_n_steps: 0, num_samples: 4}
evaluation: {metrics: []}
ema: {half_life: 100}
"""
# 1,297 images to train on: 12 batches an epoch on one process, 6 on two.
STOP_ONE, STOP_TWO = 7, 4


class Recorder(Callback):
    """Writes down what a process trains on."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.batches: list[dict[str, Any]] = []
        self.validations: list[dict[str, Any]] = []
        self.latents: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epoch_size = trainer.num_training_batches
        if hasattr(pl_module, "generator"):
            pl_module.generator.register_forward_pre_hook(lambda _, arguments: self.latents.append(arguments[0][0]))
        self.latents.clear()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        noise = [latent.tolist() for latent in self.latents]
        self.latents.clear()
        row = {"step": trainer.global_step, "index": batch["index"].tolist(), "batch_idx": batch_idx, "noise": noise}
        self.batches.append({**row, "images_seen": pl_module.images_seen})
        self.before = statistics(pl_module)  # checkpoint callbacks come after this one

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if not self.validations or self.validations[-1]["step"] != trainer.global_step:
            self.validations.append({"step": trainer.global_step, "statistics": statistics(pl_module)})
        self.latents.clear()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        seen = {"batches": self.batches, "validations": self.validations, "epoch_size": self.epoch_size}
        seen |= {"before": self.before, "after": statistics(pl_module)}
        Path(f"{self.path}.rank{trainer.global_rank}.json").write_text(json.dumps(seen))


class Bottleneck(GenerativeModule):
    """A model with one optimizer, which Lightning steps."""

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int | None = None) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 33), nn.Tanh(), nn.Linear(33, 8))
        self.decoder = nn.Sequential(nn.Linear(8, 33), nn.Tanh(), nn.Linear(33, 64))

    def configure_optimizers(self) -> SGD:
        return SGD(self.parameters(), lr=0.1, momentum=0.9)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        x = batch["image"]
        loss = (self.decoder(self.encoder(x)) - x.flatten(1)).square().mean()
        self.record({"loss": loss})
        self.log_recorded()
        return loss


def statistics(module: nn.Module) -> list[list[float]]:
    return [b.tolist() for name, b in module.named_buffers() if name.endswith(("running_mean", "running_var"))]


def fit(name: str, steps: int, *arguments: object) -> None:
    """Trains in ``runs_<name>`` up to a step."""
    recorder = ("--trainer.callbacks+=cluster_run.Recorder", f"--trainer.callbacks.path={name}_{steps}")
    command = ("fit", "--config", "tiny.yaml", "--runs", f"runs_{name}", "--trainer.max_steps", steps, *recorder)
    assert main([str(word) for word in (*command, *arguments)]) == 0, name


def autoencoder(name: str, steps: int, *arguments: object) -> None:
    """Trains the model with one optimizer, likewise."""
    model = ("--config", "autoencoder.yaml", "--runs", f"runs_{name}", "--trainer.max_steps", steps)
    assert main(["fit", *(str(word) for word in (*model, *arguments))]) == 0, name


SHARDED = (
    *("--trainer.strategy", "pytorch_lightning.strategies.ModelParallelStrategy"),
    *("--trainer.strategy.data_parallel_size", 2, "--trainer.strategy.tensor_parallel_size", 1),
    *("--trainer.strategy.save_distributed_checkpoint", "false"),
)

if __name__ == "__main__":
    fit("whole", 9)
    fit("stopped", STOP_TWO)
    fit("stopped", 9, "--ckpt_path", "last")
    fit("two", STOP_TWO)
    fit("one_to_two", 16, "--ckpt_path", "last")
    autoencoder("data_parallel", 7)
    autoencoder("sharded", 4, *SHARDED)
    autoencoder("sharded", 7, *SHARDED, "--ckpt_path", "last")
    refused = ["--runs", "refused", "--trainer.max_steps", "1"]
    assert main(["fit", "--config", "tiny.yaml", *refused, *map(str, SHARDED)]) == 2
    for wrong in (SHARDED[:-2], (*SHARDED[:2], *SHARDED[-2:])):
        assert main(["fit", "--config", "autoencoder.yaml", *refused, *map(str, wrong)]) == 2
