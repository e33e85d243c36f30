"""A StyleGAN2 run as a whole: its lazy penalties, averages, mean style, checkpoints."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer

from lit_gen.callbacks import EMA
from lit_gen.datamodules import Digits
from lit_gen.functional.gradient_penalties import R1
from lit_gen.functional.path_length import PathLengthRegularization
from lit_gen.models import GAN
from lit_gen.nn.modulated import StyledLayer
from lit_gen.nn.stylegan2 import StyleGAN2Generator
from lit_gen.nn.stylegan2_discriminator import StyleGAN2Discriminator


@pytest.fixture
def style_gan(gan: Callable[..., GAN]) -> Callable[[], GAN]:
    small = {"features": 4, "max_features": 8, "mapping_layers": 2}
    return lambda: gan(
        generator=partial(StyleGAN2Generator, style_dim=6, **small),  # type: ignore[arg-type]
        discriminator=partial(StyleGAN2Discriminator, **small),  # type: ignore[arg-type]
        regularizers=[R1(every=4), PathLengthRegularization(every=2)],
        generator_optimizer=partial(torch.optim.Adam, lr=2e-3, betas=(0.0, 0.99)),
        conditional=True,
    )


def test_averages_take_the_mean_style_and_the_constant_noise_from_the_live_network(
    style_gan: Callable[[], GAN], digits: Callable[[], Digits], trainer: Callable[..., Trainer]
) -> None:
    model, ema = style_gan(), EMA(half_life=50)
    before = {name: buffer.clone() for name, buffer in model.generator.named_buffers()}
    trainer(max_steps=6, callbacks=[ema]).fit(model, digits())
    live = {name: tensor.clone() for name, tensor in model.generator.state_dict().items()}
    model.eval()
    with ema.swapped(model):
        for name, tensor in model.generator.state_dict().items():
            assert torch.equal(tensor, live[name]) == (name in before), name
        label = torch.arange(3)
        first, second = (model.sample(3, label, torch.Generator().manual_seed(0), 0.7) for _ in range(2))
        assert torch.equal(first, second)
    constants = [n for n, m in model.generator.named_modules() if isinstance(m, StyledLayer)]
    assert all(torch.equal(live[f"{name}.constant"], before[f"{name}.constant"]) for name in constants)
    assert live["w_avg"].any()


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    style_gan: Callable[[], GAN], digits: Callable[[], Digits], trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    def end(steps: int, resume: Path | None = None) -> tuple[dict[str, Any], Path]:
        torch.manual_seed(0)
        model = style_gan()
        run = trainer(max_steps=steps)
        run.fit(model, digits(), ckpt_path=resume)
        run.save_checkpoint(tmp_path / f"{steps}.ckpt")
        return model.state_dict(), tmp_path / f"{steps}.ckpt"

    whole, _ = end(8)
    _, checkpoint = end(3)
    resumed, _ = end(8, checkpoint)
    assert whole["regularizers.1.mean_length"] > 0
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
