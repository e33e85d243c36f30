"""AdversarialModule: the same numbers as a hand-written loop, one step per batch, one player per phase."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import LambdaLR

from lit_gen.errors import UserError
from lit_gen.models import GAN
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_gen.training.seeding import derive_seed

SHAPE = (1, 8, 8)


class Batches:
    """A fixed list of batches."""

    def __init__(self, num: int = 6, size: int = 4) -> None:
        generator = torch.Generator().manual_seed(0)
        self.batches = [
            {
                "image": torch.rand(size, *SHAPE, generator=generator) * 2 - 1,
                "label": torch.randint(0, 3, (size,), generator=generator),
            }
            for _ in range(num)
        ]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return iter(self.batches)


def small_gan(**arguments: object) -> GAN:
    torch.manual_seed(1)
    defaults = {
        "generator": partial(DCGANGenerator, features=4),
        "discriminator": partial(DCGANDiscriminator, features=4),
        "latent_dim": 3,
    }
    return GAN(SHAPE, 3, **(defaults | arguments))


def trainer(folder: Path, **arguments: object) -> Trainer:
    defaults = {
        "max_steps": 6,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
    }
    return Trainer(**(defaults | arguments))


@pytest.mark.parametrize("n_critic", [1, 3])
@pytest.mark.parametrize("conditional", [False, True])
def test_equal_to_a_hand_written_loop(tmp_path: Path, n_critic: int, conditional: bool) -> None:
    model, reference = small_gan(n_critic=n_critic, conditional=conditional), small_gan(conditional=conditional)
    trainer(tmp_path).fit(model, Batches())

    g, d = reference.generator.train(), reference.discriminator.train()
    adam_g = Adam(g.parameters(), lr=2e-4, betas=(0.5, 0.999))
    adam_d = Adam(d.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for step, batch in enumerate(Batches()):
        torch.manual_seed(derive_seed(0, 0, step))
        x, y = batch["image"], batch["label"] if conditional else None
        fake = g(torch.randn(len(x), 3), y).detach()
        adam_d.zero_grad()
        (softplus(-d(x, y)).mean() + softplus(d(fake, y)).mean()).backward()
        adam_d.step()
        if step % n_critic == 0:
            adam_g.zero_grad()
            softplus(-d(g(torch.randn(len(x), 3), y), y)).mean().backward()
            adam_g.step()

    for (name, ours), theirs in zip(model.state_dict().items(), reference.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


class PhaseWatch(Callback):
    """Records which parameters moved and which got gradients at each optimizer step."""

    def __init__(self) -> None:
        self.moved: list[set[str]] = []
        self.gradients: list[set[str]] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: GAN, optimizer: torch.optim.Optimizer) -> None:
        self._settle(pl_module)
        self.before = {name: p.detach().clone() for name, p in pl_module.named_parameters()}
        trainable = {name for name, p in pl_module.named_parameters() if p.requires_grad}
        for name in trainable:
            gradient = dict(pl_module.named_parameters())[name].grad
            assert gradient is not None, name
            assert torch.isfinite(gradient).all(), name
        self.gradients.append({name.split(".")[0] for name in trainable})

    def on_train_end(self, trainer: Trainer, pl_module: GAN) -> None:
        self._settle(pl_module)

    def _settle(self, pl_module: GAN) -> None:
        if hasattr(self, "before"):
            moved = {n for n, p in pl_module.named_parameters() if not torch.equal(p, self.before[n])}
            assert {n for n in self.before if n.split(".")[0] in self.gradients[-1]} == moved, "a parameter stood still"
            self.moved.append({name.split(".")[0] for name in moved})


def test_each_phase_moves_every_parameter_of_its_player_and_nothing_else(tmp_path: Path) -> None:
    watch = PhaseWatch()
    trainer(tmp_path, max_steps=4, callbacks=[watch]).fit(small_gan(n_critic=2), Batches())
    d, g = {"discriminator"}, {"generator"}
    assert watch.gradients == [d, g, d, d, g, d]
    assert watch.moved == [d, g, d, d, g, d]


@pytest.mark.parametrize("n_critic", [1, 5])
def test_one_batch_is_one_step_everywhere(tmp_path: Path, n_critic: int) -> None:
    checkpoints = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=3, save_top_k=-1)
    model = small_gan(n_critic=n_critic)
    fit = trainer(tmp_path, max_steps=10, callbacks=[checkpoints], enable_checkpointing=True)
    fit.fit(model, Batches())
    assert fit.global_step == 10
    assert model.images_seen == 40
    assert sorted(p.name for p in tmp_path.glob("step*.ckpt")) == ["step=3.ckpt", "step=6.ckpt", "step=9.ckpt"]

    resumed = small_gan(n_critic=n_critic)
    again = trainer(tmp_path, max_steps=14)
    again.fit(resumed, Batches(), ckpt_path=tmp_path / "step=9.ckpt", weights_only=True)
    assert again.global_step == 14
    assert resumed.images_seen == 56


def test_schedules_step_once_per_batch(tmp_path: Path) -> None:
    halving = partial(LambdaLR, lr_lambda=lambda step: 0.5**step)
    model = small_gan(
        n_critic=2,
        generator_optimizer=partial(SGD, lr=1.0),
        discriminator_optimizer=partial(SGD, lr=1.0),
        generator_schedule=halving,
    )
    trainer(tmp_path, max_steps=4).fit(model, Batches())
    discriminator, generator = model.optimizers()
    assert generator.param_groups[0]["lr"] == 0.5**4
    assert discriminator.param_groups[0]["lr"] == 1.0


def test_means_are_logged_on_the_axis_of_global_step(tmp_path: Path) -> None:
    rows: list[tuple[int, dict[str, float]]] = []

    class Recorder(GAN):
        def report(self, values: dict[str, float], step: int | None = None, live: bool = True) -> None:
            rows.append((step, dict(values)))

    torch.manual_seed(1)
    model = Recorder(SHAPE, 3, partial(DCGANGenerator, features=4), partial(DCGANDiscriminator, features=4))
    seen: list[float] = []
    original = model.discriminator_loss

    def watched(batch: dict[str, Tensor]) -> Tensor:
        loss = original(batch)
        seen.append(loss.item())
        return loss

    model.discriminator_loss = watched  # type: ignore[method-assign]
    trainer(tmp_path, max_steps=8, log_every_n_steps=4).fit(model, Batches(8))
    assert [step for step, _ in rows] == [4, 8]
    assert [row["images_seen"] for _, row in rows] == [16, 32]
    for i, (_, row) in enumerate(rows):
        assert row["loss/discriminator"] == pytest.approx(sum(seen[4 * i : 4 * i + 4]) / 4, rel=1e-5)


def test_a_validation_in_between_changes_nothing(tmp_path: Path) -> None:
    plain, validated = small_gan(), small_gan()
    trainer(tmp_path).fit(plain, Batches())
    trainer(tmp_path, val_check_interval=2, check_val_every_n_epoch=None).fit(validated, Batches(), Batches(3))
    for ours, theirs in zip(plain.state_dict().values(), validated.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_missing_key_is_named_with_what_there_is(tmp_path: Path) -> None:
    batches = Batches()
    for batch in batches.batches:
        del batch["label"]
    with pytest.raises(UserError, match=r"GAN needs 'label' in its batches; .* image"):
        trainer(tmp_path).fit(small_gan(conditional=True), batches)


@pytest.mark.parametrize("wrong", [{"n_critic": 0}, {"latent_dim": 0}, {"label_sampling": "equal"}], ids=str)
def test_senseless_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"model.{next(iter(wrong))}"):
        small_gan(**wrong)


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_weights_of_other_than_single_precision_are_refused(tmp_path: Path, precision: str) -> None:
    with pytest.raises(UserError, match=f"precision is {precision}; it can be 32-true, bf16-mixed or 16-mixed"):
        trainer(tmp_path, precision=precision).fit(small_gan(), Batches())


def test_a_player_without_parameters_is_refused(tmp_path: Path) -> None:
    class Constant(nn.Module):
        def __init__(self, image_shape: tuple[int, int, int], num_classes: int | None = None) -> None:
            super().__init__()

    with pytest.raises(UserError, match="player 'discriminator'"):
        trainer(tmp_path).fit(small_gan(discriminator=Constant), Batches())


def test_a_senseless_learning_rate_is_named_with_its_player(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"player 'generator' cannot be made: Invalid learning rate: -1"):
        trainer(tmp_path).fit(small_gan(generator_optimizer=partial(SGD, lr=-1.0)), Batches())


def test_the_last_steps_are_logged_too(tmp_path: Path) -> None:
    class Recorder(GAN):
        def report(self, values: dict[str, float], step: int | None = None, live: bool = True) -> None:
            rows.append(self.step if step is None else step)

    rows: list[int] = []
    model = Recorder(SHAPE, 3, partial(DCGANGenerator, features=4), partial(DCGANDiscriminator, features=4))
    trainer(tmp_path, max_steps=7, log_every_n_steps=4).fit(model, Batches(8))
    assert rows == [4, 7]


def test_sums_of_several_processes_average_alike_on_another_number(tmp_path: Path) -> None:
    model, saved = small_gan(), {"a": torch.tensor([1.0, 4.0]), "b": torch.tensor(3.0)}  # "b" as older files have it
    model.trainer = trainer(tmp_path, max_steps=1)
    model.on_load_checkpoint({"lit_gen_training": {"sums": saved, "counts": {"a": 2, "b": 2}}})
    assert {name: float(value) for name, value in model._sums.items()} == {"a": 2.5, "b": 3.0}
    again: dict[str, dict[str, dict[str, Tensor]]] = {}
    model.on_save_checkpoint(again)
    assert {name: value.tolist() for name, value in again["lit_gen_training"]["sums"].items()} == {"a": [2.5], "b": [3]}
