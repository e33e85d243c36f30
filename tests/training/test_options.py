"""Accumulation, clipping, precision, compilation and memory format."""

import platform
import subprocess
import sys
from functools import partial

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader

from lit_gen.errors import UserError
from lit_gen.models import GAN
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_gen.nn.dense import DenseDiscriminator, DenseGenerator
from lit_gen.training.adversarial import _split
from lit_gen.training.options import TrainingOptions

SHAPE = (1, 8, 8)


def gan(**arguments: object) -> GAN:
    torch.manual_seed(1)
    networks = {
        "generator": partial(DCGANGenerator, features=4),
        "discriminator": partial(DCGANDiscriminator, features=4),
    }
    return GAN(SHAPE, **(networks | {"latent_dim": 3} | arguments))


def batches(num: int = 4, size: int = 6) -> DataLoader[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    items = [{"image": torch.rand(size, *SHAPE, generator=generator) * 2 - 1} for _ in range(num)]
    return DataLoader(items, batch_size=None)


def fit(model: GAN, **arguments: object) -> Trainer:
    defaults = {"max_steps": 4, "accelerator": "cpu", "logger": False, "enable_checkpointing": False}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1}
    trainer = Trainer(**(defaults | quiet | arguments))
    trainer.fit(model, batches())
    return trainer


class Rows(GAN):
    """Keeps what is reported."""

    def report(self, values: dict[str, float], step: int | None = None, live: bool = True) -> None:
        self.rows = [*getattr(self, "rows", []), dict(values)]


@pytest.mark.parametrize(("size", "parts"), [(6, 1), (6, 2), (7, 3), (2, 5), (1, 2)])
def test_batches_split_into_all_their_images(size: int, parts: int) -> None:
    batch = {"image": torch.arange(size), "label": torch.arange(size) + 10}
    split = _split(batch, parts)
    assert len(split) == min(size, parts)
    assert torch.equal(torch.cat([part["image"] for part in split]), batch["image"])
    assert torch.equal(torch.cat([part["label"] for part in split]), batch["label"])
    assert max(len(part["image"]) for part in split) - min(len(part["image"]) for part in split) <= 1


@pytest.mark.parametrize("limit", [1e-3, 0.1, 1e3])
def test_each_player_s_gradient_is_clipped_to_its_norm(limit: float) -> None:
    norms: list[float] = []

    class Watched(SGD):
        def step(self, closure: object = None) -> object:
            if closure is not None:
                closure()  # where Lightning calls the hooks that come before a step
            gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"]]
            norms.append(torch.cat(gradients).norm().item())
            return super().step()

    sgd = partial(Watched, lr=0.1)
    fit(gan(options=TrainingOptions(clip_norm=limit), generator_optimizer=sgd, discriminator_optimizer=sgd))
    assert len(norms) == 8
    assert max(norms) <= limit * 1.001
    if limit == 1e-3:
        assert min(norms) >= limit * 0.99


def test_fp16_scales_unscales_clips_and_counts_skipped_steps() -> None:
    """A real scaler on the CPU: an infinite first gradient is skipped, counted, and the scale is halved."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, growth_interval=1000)
    torch.manual_seed(1)
    model = Rows(
        SHAPE,
        generator=partial(DCGANGenerator, features=4),
        discriminator=partial(DCGANDiscriminator, features=4),
        latent_dim=3,
        options=TrainingOptions(clip_norm=0.1),
    )
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit(model, max_steps=40, plugins=MixedPrecision("16-mixed", "cpu", scaler=scaler))
    skipped = [row.get("skipped_steps/discriminator", 0) for row in model.rows]
    assert skipped[0] == 1, "the first scale overflows half precision"
    assert skipped[-1] == 0
    total = sum(skipped) + sum(row.get("skipped_steps/generator", 0) for row in model.rows)
    assert scaler.get_scale() == 2.0 ** (40 - total)
    for name, value in model.named_parameters():
        assert torch.isfinite(value).all(), name
        assert not torch.equal(value, before[name]), name
    finite = [row["gradient_norm/generator"] for row in model.rows if row.get("skipped_steps/generator") == 0]
    assert finite
    assert all(norm < 100 for norm in finite), "norms are of unscaled gradients"


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("options", [TrainingOptions(), TrainingOptions(channels_last=True), TrainingOptions(2, 1.0)])
def test_every_precision_trains_every_parameter(precision: str, options: TrainingOptions) -> None:
    model = gan(options=options)
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit(model, precision=precision)
    for name, value in model.named_parameters():
        assert value.dtype == torch.float32, name
        assert torch.isfinite(value).all(), name
        # The last bias's gradient is the difference of two means, which bf16 may round to nothing in so few steps.
        assert name == "discriminator.layers.2.bias" or not torch.equal(value, before[name]), name


def test_memory_that_is_freed_can_be_kept() -> None:
    """In a process of its own, as it is for good: what a step takes, frees and takes again is no longer new pages."""
    script = """
import resource, sys, torch
from lit_gen.training.options import TrainingOptions
TrainingOptions(keep_memory=sys.argv[1] == "keep").apply_to_process()
torch.ones(16_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(16_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    run = partial(subprocess.run, capture_output=True, text=True, check=True, timeout=100)
    kept, given_back = (int(run([sys.executable, "-c", script, how]).stdout) for how in ("keep", "give back"))
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("keeping memory is of glibc alone")
    assert kept < 0.1 * given_back


def test_channels_last_is_the_same_network() -> None:
    plain, last = gan(), gan(options=TrainingOptions(channels_last=True))
    fit(plain)
    fit(last)
    assert last.discriminator.layers[2].weight.is_contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(plain.parameters(), last.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_compiled_networks_train_alike_and_leave_the_state_dict_alone() -> None:
    plain, compiled = gan(), gan(options=TrainingOptions(compile=True))
    fit(plain)
    fit(compiled)
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    for ours, theirs in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_spectral_norm_trains_beside_compiled_networks() -> None:
    """A compiled discriminator with it fails in the backward pass after its passes over real and generated images."""
    networks = {
        "generator": partial(DenseGenerator, width=4, depth=1),
        "discriminator": partial(DenseDiscriminator, width=4, depth=1, spectral_norm=True),
    }
    plain, compiled = gan(**networks), gan(**networks, options=TrainingOptions(compile=True))
    fit(plain, max_steps=2)
    fit(compiled, max_steps=2)
    assert compiled.fast("generator") is not compiled.generator
    for ours, theirs in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("arguments", [{"accumulate": 0}, {"clip_norm": 0.0}, {"clip_norm": -1.0}])
def test_senseless_options_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(UserError, match="options"):
        TrainingOptions(**arguments)


def test_batch_norm_apart_accumulation_is_the_large_batch() -> None:
    class Plain(nn.Module):
        def __init__(self, image_shape: tuple[int, int, int], num_classes: int | None = None) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))

        def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
            return self.layers(x)

    class Linear(nn.Module):
        def __init__(self, image_shape: tuple[int, int, int], latent_dim: int, num_classes: int | None = None) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(latent_dim, 64), nn.Tanh(), nn.Unflatten(1, SHAPE))

        def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
            return self.layers(z)

    class Constant(GAN):
        """Latents that depend on the images, so that parts and whole get the same ones."""

        def _real(self, batch: dict[str, Tensor]) -> tuple[Tensor, None]:
            self.z = batch["image"].flatten(1)[:, :3] * (1 + self.step)
            return super()._real(batch)

        def latents(self, num: int, generator: object = None, truncation: float | None = None) -> Tensor:
            return self.z

    ends = []
    for accumulate in (1, 2, 4):
        torch.manual_seed(1)
        sgd = partial(SGD, lr=0.5)
        model = Constant(
            SHAPE,
            generator=Linear,
            discriminator=Plain,
            latent_dim=3,
            generator_optimizer=sgd,
            discriminator_optimizer=sgd,
            options=TrainingOptions(accumulate=accumulate),
        )
        fit(model)
        ends.append(torch.nn.utils.parameters_to_vector(model.parameters()))
    torch.testing.assert_close(ends[1], ends[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(ends[2], ends[0], atol=1e-6, rtol=0)
