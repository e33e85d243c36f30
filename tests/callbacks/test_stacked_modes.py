"""Modes of stacked images, counted through a classifier that is always right."""

import math
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from lit_gen.callbacks import StackedModes
from lit_gen.datamodules.image_data import ImageDataModule
from lit_gen.errors import UserError
from lit_gen.metrics.extractors import Extractor
from lit_gen.metrics.features import Features


class Brightness(Extractor):
    """Names a channel by its brightness: the class is the first pixel."""

    name = "brightness"

    def prepare(self, data: Any, device: torch.device) -> None:
        assert data.num_classes == 10

    def forward(self, image: Tensor) -> Features:
        assert image.shape[1:] == (1, 4, 4)
        return Features(image.flatten(1).float(), torch.nn.functional.one_hot(image[:, 0, 0, 0].long(), 10).float())

    def describe(self) -> dict[str, Any]:
        return {}


class Numbers(LightningModule):
    """Draws images whose channels are the digits of the numbers below `most`, in turn."""

    image_shape = (3, 4, 4)

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.drawn = most, 0

    def sample(self, num: int, label: Any = None, generator: Any = None) -> Tensor:
        number = (self.drawn + torch.arange(num)) % self.most
        self.drawn += num
        digits = torch.stack([number // 100, number // 10 % 10, number % 10], dim=1)
        return (digits / 127.5 - 1)[:, :, None, None].expand(-1, -1, 4, 4)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass


class Stack(ImageDataModule):
    """A few black images that claim to be stacks of images of ten classes."""

    name, image_shape, class_names = "stack", (3, 4, 4), None
    num_classes = 10

    @property
    def channel_data(self) -> Any:
        return self

    def check(self) -> None:
        pass

    def _open(self, split: str) -> dict[str, Tensor]:
        return {"image": torch.zeros(8, 3, 4, 4, dtype=torch.uint8)}

    def _hash(self, split: str) -> str:
        return split


@pytest.mark.parametrize(("most", "modes", "kl"), [(1000, 1000, 0.0), (10, 10, math.log(100)), (1, 1, math.log(1000))])
def test_modes_are_counted(most: int, modes: int, kl: float, trainer: Any) -> None:
    run = trainer(callbacks=[StackedModes(2000, Brightness(), batch_size=77)], limit_val_batches=1)
    run.validate(Numbers(most), datamodule=Stack(), verbose=False)
    assert run.callback_metrics["stacked/modes"] == modes
    assert float(run.callback_metrics["stacked/kl"]) == pytest.approx(kl, abs=1e-5)


def test_on_other_data_it_is_off(gan: Any, digits: Any, trainer: Any) -> None:
    run = trainer(callbacks=[StackedModes()], max_steps=2, val_check_interval=1)
    run.fit(gan(), datamodule=digits())
    assert not any("stacked" in name for name in run.callback_metrics)


def test_bad_arguments() -> None:
    with pytest.raises(UserError, match="num_samples"):
        StackedModes(0)
