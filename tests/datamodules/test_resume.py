"""A run that is resumed sees the images that the uninterrupted run saw, through a real Trainer."""

import warnings

import pytest
import torch
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer

from lit_gen.datamodules import Digits, ImageFolder, LabelledMaps, UnpairedImages


class Recorder(LightningModule):
    """Writes down which images it was trained on, and their pixels."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch):
        assert batch["image"].dtype == torch.float32 and "epoch" not in batch
        # Weighted by columns, so that a mirrored image gives another number.
        pixels = (batch["image"] * torch.arange(batch["image"].shape[-1])).sum(dim=(1, 2, 3))
        for name in batch.keys() & {"source", "label_map"}:
            pixels = pixels + (batch[name] * torch.arange(batch[name].shape[-1])).flatten(1).sum(dim=1)
        self.seen.append((self.trainer.current_epoch, batch["index"].tolist(), pixels.tolist()))
        return self.weight * batch["image"].mean()

    def validation_step(self, batch):
        assert batch["image"].dtype == torch.float32

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class SaveEverywhere(Callback):
    """Saves after every batch and at the end of every epoch, before which validation runs."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, trainer, *args):
        trainer.save_checkpoint(self.folder / f"step{trainer.global_step}.ckpt")

    def on_train_epoch_end(self, trainer, *args):
        trainer.save_checkpoint(self.folder / f"epoch{trainer.current_epoch}.ckpt")

    def on_validation_end(self, trainer, *args):
        trainer.save_checkpoint(self.folder / f"validation{trainer.global_step}.ckpt")


def run(data, checkpoint=None, callbacks=(), **settings):
    model = Recorder()
    trainer = Trainer(
        accelerator="cpu", max_epochs=3, logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, num_sanity_val_steps=1, callbacks=list(callbacks), **settings,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(model, data, ckpt_path=checkpoint, weights_only=True)
    return model.seen


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    generator = torch.Generator().manual_seed(0)
    for number in range(60):
        pixels = torch.randint(0, 256, (6, 6, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(root / f"{number:02}.png")
    return root


def digits(_):
    return Digits(batch_size=8, image_size=8, val_size=17, test_size=1740, horizontal_flip=True)


def files(num_workers):
    def make(folder):
        return ImageFolder(
            str(folder), batch_size=8, image_size=6, val_size=9, test_size=11, cache="never", num_workers=num_workers,
            horizontal_flip=True,
        )  # fmt: skip

    return make


@pytest.mark.parametrize("make", [digits, files(0), files(2)], ids=["tensors", "inline", "workers"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"val_check_interval": 2}, {"limit_train_batches": 3}, {"limit_train_batches": 0.7}],
    ids=["plain", "validating", "limited", "limited by a fraction"],
)
def test_resumed_run_is_the_uninterrupted_run(tmp_path, folder, make, settings):
    full = run(make(folder), callbacks=[SaveEverywhere(tmp_path)], **settings)
    assert [epoch for epoch, *_ in full] == sorted(epoch for epoch, *_ in full)
    steps = len(full) // 3
    assert steps == (3 if "limit_train_batches" in settings else 5)
    assert len({tuple(index) for _, index, _ in full}) == len(full), "every epoch has its own order"
    # In the middle of an epoch, before its last batch, with it, after the epoch's end, and after the next batch.
    points = {f"step{step}": step for step in (1, steps - 1, steps, steps + 1, 2 * steps)}
    points |= {"epoch0": steps, "epoch1": 2 * steps}
    if "val_check_interval" in settings:
        points |= {"validation2": 2, f"validation{steps + 2}": steps + 2}
    if make is not digits:
        kept = ("step1", f"step{steps}", "epoch0") if settings else ("step1", f"step{steps - 1}", f"step{steps}")
        points = {name: points[name] for name in kept}
    for name, taken in points.items():
        assert run(make(folder), tmp_path / f"{name}.ckpt", **settings) == full[taken:], f"resumed from {name}"


def unpaired(root, settings):
    return UnpairedImages(
        str(root / "many"), str(root / "few"), batch_size=8, image_size=5, load_size=6, val_size=4, test_size=4,
        horizontal_flip=True, **settings,
    )  # fmt: skip


def maps(root, settings):
    return LabelledMaps(
        str(root / "few"), str(root / "labels"), num_label_classes=200, batch_size=2, image_size=5, load_size=6,
        val_size=4, test_size=4, horizontal_flip=True, **settings,
    )  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [{"cache": "always"}, {"cache": "always", "on_device": True}, {"cache": "never", "num_workers": 2}],
    ids=["tensors", "on device", "workers"],
)
@pytest.mark.parametrize("kind", [unpaired, maps])
def test_resumed_run_of_translation_is_the_uninterrupted_run(tmp_path, folder, kind, settings):
    root = tmp_path / "images"
    for name in ("many", "few", "labels"):
        (root / name).mkdir(parents=True)
    for number, path in enumerate(sorted(folder.iterdir())):
        (root / ("many" if number < 44 else "few") / path.name).write_bytes(path.read_bytes())
        if number >= 44:
            Image.new("L", (6, 6), number).save(root / "labels" / path.name)
    full = run(kind(root, settings), callbacks=[SaveEverywhere(tmp_path)])
    assert len(full) == 12
    for name, taken in {"step1": 1, "step3": 3, "epoch0": 4, "step6": 6}.items():
        assert run(kind(root, settings), tmp_path / f"{name}.ckpt") == full[taken:], f"resumed from {name}"


def test_inline_workers_and_memory_are_the_same_run(folder):
    runs = [run(files(num_workers)(folder)) for num_workers in (0, 2)]
    data = files(0)(folder)
    data.cache = "always"
    assert runs[0] == runs[1] == run(data)


def test_flips_change_with_the_epoch(folder):
    seen = run(files(0)(folder))
    by_epoch = [
        {i: value for e, index, pixels in seen if e == epoch for i, value in zip(index, pixels, strict=True)}
        for epoch in range(3)
    ]
    common = by_epoch[0].keys() & by_epoch[1].keys()
    changed = sum(by_epoch[0][i] != by_epoch[1][i] for i in common)
    assert 0.2 * len(common) < changed < 0.8 * len(common)


def test_overfitting_sees_the_same_batches(folder):
    seen = run(files(0)(folder), overfit_batches=2)
    assert [index for _, index, _ in seen] == [list(range(8)), list(range(8, 16))] * 3
