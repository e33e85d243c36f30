"""The guard: a clear end, and nothing bad on the disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint

from lit_gen.callbacks import DivergenceGuard
from lit_gen.callbacks.divergence_guard import _find, _not_finite
from lit_gen.errors import UserError
from lit_gen.functional.adversarial import NonSaturatingLoss
from lit_gen.training.loading import read_checkpoint


class Poison(Callback):
    """Spoils something after a step."""

    def __init__(self, step: int, spoil: Callable[[Trainer, Any], None]) -> None:
        self.step, self.spoil = step, spoil

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step == self.step:
            self.spoil(trainer, pl_module)


@torch.no_grad()
def spoil_weight(trainer: Trainer, model: Any) -> None:
    model.generator.layers[0].weight[0, 0, 0, 0] = torch.inf


@torch.no_grad()
def spoil_buffer(trainer: Trainer, model: Any) -> None:
    model.generator.layers[1].running_var[0] = torch.nan


@torch.no_grad()
def spoil_moment(trainer: Trainer, model: Any) -> None:
    next(iter(trainer.optimizers[1].state.values()))["exp_avg_sq"].view(-1)[0] = torch.inf


SPOILED = {
    "weight generator.layers.0.weight is infinite": spoil_weight,
    "buffer generator.layers.1.running_var is NaN": spoil_buffer,
    "exp_avg_sq of optimizer 1, tensor 0 is infinite": spoil_moment,
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_bad_state_is_never_saved(
    what: str, tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]
) -> None:
    save = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=2, save_top_k=-1, save_last=True)
    callbacks = [save, DivergenceGuard(), Poison(6, SPOILED[what])]
    run = trainer(callbacks=callbacks, max_steps=20, log_every_n_steps=100)
    with pytest.raises(UserError) as error:
        run.fit(gan(), datamodule=digits())
    line = str(error.value)
    assert f"training diverged: at step 6 {what}" in line and "\n" not in line
    assert "step=4.ckpt" in line or "last.ckpt" in line
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["last.ckpt", "step=2.ckpt", "step=4.ckpt"]
    checkpoint = read_checkpoint(tmp_path / "last.ckpt")
    assert checkpoint["global_step"] == 4
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())


class Broken(NonSaturatingLoss):
    """A loss that turns NaN for the generator, with gradients that do not."""

    def generator(self, fake_logits: torch.Tensor) -> torch.Tensor:
        loss = super().generator(fake_logits)
        return loss + (torch.nan - loss).detach()


def test_a_bad_loss_is_named_at_the_next_logging_step(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]
) -> None:
    run = trainer(callbacks=[DivergenceGuard()], log_every_n_steps=3)
    with pytest.raises(UserError, match=r"at step 3 loss/generator is NaN; none of this was saved: start again"):
        run.fit(gan(loss=Broken()), datamodule=digits())
    assert run.global_step == 3


def test_weights_are_looked_at_when_losses_are_logged(
    gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]
) -> None:
    run = trainer(callbacks=[Poison(4, spoil_weight), DivergenceGuard()], log_every_n_steps=2)
    with pytest.raises(UserError, match="at step 4 weight generator"):
        run.fit(gan(), datamodule=digits())


def test_a_healthy_run_goes_on(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]
) -> None:
    save = ModelCheckpoint(tmp_path, every_n_train_steps=2)
    run = trainer(callbacks=[save, DivergenceGuard()])
    run.fit(gan(), datamodule=digits())
    assert run.global_step == 6 and save.best_model_path


def test_huge_values_are_finite() -> None:
    tensors = {"huge": torch.full((10,), 3e38), "half": torch.tensor([6e4], dtype=torch.float16), "none": torch.ones(0)}
    assert _find(tensors | {"index": torch.tensor([1])}, _not_finite) is None
    assert _find(tensors | {"bad": torch.tensor([1.0, -torch.inf])}, _not_finite) == "bad is infinite"
    assert _find({"mask": torch.tensor([-torch.inf])}, torch.isnan) is None
    assert _find({"mask": torch.tensor([-torch.inf, torch.nan])}, torch.isnan) == "mask is NaN"
