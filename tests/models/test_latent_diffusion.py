"""Latent diffusion: from an autoencoder's checkpoint to samples, by itself, resumed, and by the command line."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import autoencoders
import numpy
import pytest
import torch
import yaml
from methods import small_networks
from quiet_trainer import quiet_trainer

import lit_gen
import lit_gen.configs
from lit_gen.__main__ import main
from lit_gen.contracts import SupportsGenerate, SupportsLogProb, SupportsSample, SupportsTrajectory
from lit_gen.errors import UserError
from lit_gen.functional.noise_schedules import RectifiedFlowSchedule
from lit_gen.functional.ode_samplers import Heun
from lit_gen.functional.parameterisation import VelocityPrediction
from lit_gen.functional.samplers import DDIM
from lit_gen.models import GAN, VAE, VQVAE, LatentDiffusion
from lit_gen.nn.dense_denoiser import DenseDenoiser
from lit_gen.nn.dit import DiT
from lit_gen.training.seeding import generators

FLOW = {"noise_schedule": RectifiedFlowSchedule(), "parameterisation": VelocityPrediction(), "sampler": Heun(3)}
MAPS = {**FLOW, "network": partial(DiT, patch_size=1, width=8, heads=2, depth=1), "conditional": True}
VECTORS = {"network": partial(DenseDenoiser, width=16, depth=2), "sampler": DDIM(4)}
KINDS = {"VQ-VAE": (VQVAE, {"num_codes": 8, "code_dim": 3}, MAPS), "VAE": (VAE, {"latent_dim": 5}, VECTORS)}
every = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each kind of autoencoder."""
    folder = tmp_path_factory.mktemp("autoencoders")
    paths = {}
    for name, (model, settings, _) in KINDS.items():
        torch.manual_seed(0)
        paths[name] = _saved(model(autoencoders.SHAPE, **settings), folder / f"{name}.ckpt")
    return paths


def _saved(model: Any, path: Path) -> Path:
    trainer = quiet_trainer(path.parent, 3)
    trainer.fit(model, autoencoders.batches())
    trainer.save_checkpoint(path)
    return path


def _made(kind: str, path: Path | None, **arguments: Any) -> LatentDiffusion:
    torch.manual_seed(0)
    given = {"latents_of": None if path is None else str(path), **KINDS[kind][2], **arguments}
    return LatentDiffusion(autoencoders.SHAPE, autoencoders.NUM_CLASSES, **given)


def _fit(kind: str, path: Path, folder: Path, steps: int, ckpt_path: Path | None = None) -> tuple[LatentDiffusion, Any]:
    model, trainer = _made(kind, path), quiet_trainer(folder, steps)
    trainer.fit(model, autoencoders.batches(), ckpt_path=ckpt_path, weights_only=True)
    return model, trainer


def _images(num: int = 4) -> dict[str, torch.Tensor]:
    return {name: value[:num] for name, value in next(iter(autoencoders.batches())).items()}


@every
def test_it_is_usable_without_the_file_it_began_with(kind: str, trained: dict[str, Path], tmp_path: Path) -> None:
    given = shutil.copy(trained[kind], tmp_path / "given.ckpt")
    before = lit_gen.load(given)
    model, trainer = _fit(kind, given, tmp_path, 4)
    trainer.save_checkpoint(tmp_path / "latent.ckpt")
    given.unlink()
    for name, value in before.state_dict().items():
        assert torch.equal(model.autoencoder.state_dict()[name], value), f"{name} is not what it was"
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.network.parameters())
    found = lit_gen.load(tmp_path / "latent.ckpt")
    assert (
        isinstance(found, LatentDiffusion) and isinstance(found, SupportsSample) and isinstance(found, SupportsGenerate)
    )
    assert not isinstance(found, SupportsLogProb) and not isinstance(
        found, SupportsTrajectory
    )  # of latents, not images
    label = torch.arange(4) % 3 if found.num_classes else None
    images = found.sample(4, label, generators(0, range(4)))
    assert images.shape == (4, *autoencoders.SHAPE) and images.abs().max() <= 1 and images.std() > 0
    torch.testing.assert_close(images, model.eval().sample(4, label, generators(0, range(4))), atol=0, rtol=0)
    one = found.sample(1, None if label is None else label[3:4], generators(0, [3]))
    torch.testing.assert_close(one[0], images[3], rtol=1e-4, atol=1e-4)


@every
def test_latents_have_mean_0_and_variance_1_and_come_back_as_images(
    kind: str, trained: dict[str, Path], tmp_path: Path
) -> None:
    model, _ = _fit(kind, trained[kind], tmp_path, 1)
    batch = _images(autoencoders.BATCH)  # the first of training
    x, _ = model.observed(batch)
    assert x.shape[1:] == model.data_shape
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(x.shape[1]), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.square().mean(), torch.ones(()))
    reconstructed = model.autoencoder.eval().reconstruct(batch["image"])
    torch.testing.assert_close(model.shown(x), reconstructed, atol=1e-4, rtol=1e-4)
    autoencoder = model.autoencoder
    latents = autoencoder.encode(batch["image"]) if kind == "VAE" else autoencoder.encoder(batch["image"])
    torch.testing.assert_close(model.encoded(batch["image"]).flatten(1), latents.flatten(1))
    x = x.detach().clone()
    x[1, 0, 0, 0] = torch.nan  # of a training that has diverged: codes would hide it
    shown = model.shown(x)
    assert shown[1].isnan().all() and shown[0].isfinite().all()


@every
def test_a_resumed_run_is_the_run_that_never_stopped(kind: str, trained: dict[str, Path], tmp_path: Path) -> None:
    whole, _ = _fit(kind, trained[kind], tmp_path, 4)
    _, trainer = _fit(kind, trained[kind], tmp_path, 2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = _fit(kind, trained[kind], tmp_path, 4, tmp_path / "half.ckpt")
    assert whole.std > 0
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


PROCESS = """
import sys, torch, torch.distributed as dist
from lit_gen.models import VAE, LatentDiffusion
from lit_gen.nn.dense_denoiser import DenseDenoiser
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
model = LatentDiffusion((1, 8, 8), autoencoder=VAE((1, 8, 8), latent_dim=3), network=DenseDenoiser)
z = torch.randn(10, 3, 1, 1, generator=torch.Generator().manual_seed(0)) * 3 + torch.arange(3).view(1, 3, 1, 1)
model._measure(z.chunk(2)[rank])
torch.testing.assert_close(model.mean, z.mean(0, keepdim=True))
torch.testing.assert_close(model.std, (z - model.mean).square().mean().sqrt())
dist.destroy_process_group()
"""


def test_processes_measure_the_latents_of_all(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS]
    both = [subprocess.Popen([*command, str(rank), str(tmp_path / "store")]) for rank in range(2)]
    assert [process.wait(300) for process in both] == [0, 0]


def test_an_autoencoder_in_place_of_a_checkpoint(trained: dict[str, Path], tmp_path: Path) -> None:
    model = _made("VAE", None, autoencoder=lit_gen.load(trained["VAE"]))
    trainer = quiet_trainer(tmp_path, 1)
    trainer.fit(model, autoencoders.batches())
    trainer.save_checkpoint(tmp_path / "latent.ckpt")
    found = lit_gen.load(tmp_path / "latent.ckpt")
    assert "latents_of" not in found.hparams
    torch.testing.assert_close(
        found.sample(2, None, generators(0, range(2))), model.eval().sample(2, None, generators(0, range(2)))
    )


def test_what_does_not_fit_is_one_line(trained: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="latents_of is missing"):
        _made("VAE", None)
    with pytest.raises(UserError, match="no checkpoint"):
        _made("VAE", tmp_path / "none.ckpt")
    with pytest.raises(UserError, match="clips to"):
        _made("VAE", trained["VAE"], sampler=DDIM(4, clip=True))
    with pytest.raises(UserError, match="does not turn images into latents"):
        _made("VAE", None, autoencoder=GAN((1, 8, 8)))
    with pytest.raises(UserError, match="shape"):
        LatentDiffusion((3, 8, 8), latents_of=str(trained["VAE"]), **VECTORS)
    with pytest.raises(UserError, match="conditional model"):
        _made("VAE", None, autoencoder=VAE(autoencoders.SHAPE, 3, conditional=True))
    model = _made("VAE", trained["VAE"])
    with pytest.raises(UserError, match="all alike"):
        model._measure(torch.zeros(4, 5, 1, 1))


def test_from_images_to_samples_by_three_commands(
    write_idx_files: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_idx_files(tmp_path, numpy.random.default_rng(0))
    monkeypatch.setenv("LIT_GEN_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    short = (
        *("--trainer.max_steps", "2", "--trainer.val_check_interval", "2", "--trainer.limit_val_batches", "1"),
        *("--samples.num_samples", "10", "--data.batch_size", "8", "--trainer.accelerator", "cpu"),
        *("--evaluation.metrics", "[]"),
    )
    for name in ("vae/vq_vae_fashion_mnist", "diffusion/latent_diffusion_fashion_mnist"):
        path = Path(lit_gen.configs.__file__).parent / f"{name}.yaml"
        model = yaml.safe_load(path.read_text("utf-8"))["model"]
        small = {"model": {**model, "init_args": {**model["init_args"], **small_networks(model)}}}
        Path(f"{path.stem}.yaml").write_text(yaml.safe_dump(small))
        latents_of = next(iter(Path("runs").glob("vq_vae*/*/checkpoints/last.ckpt")), None)
        given = [] if latents_of is None else ["--model.latents_of", str(latents_of)]
        assert main(["fit", "--config", name, "--config", f"{path.stem}.yaml", *short, *given]) == 0
    shutil.rmtree(next(Path("runs").glob("vq_vae*")))
    (latent,) = Path("runs").glob("latent*/*/checkpoints/last.ckpt")
    assert main(["sample", "--ckpt_path", str(latent), "--num_samples", "4", "--output", "grid.png"]) == 0
    assert lit_gen.load(latent).sample(2).shape == (2, 1, 28, 28)
    # Its own checkpoint is enough to go on with, twice: what it began with is gone.
    capsys.readouterr()
    for steps in ("3", "4"):
        assert main(["fit", "--ckpt_path", "last", "--trainer.max_steps", steps]) == 0
        said = capsys.readouterr()
        assert "model.autoencoder" not in said.out + said.err
    config = yaml.safe_load((latent.parents[1] / "config.yaml").read_text("utf-8"))
    assert config["model"]["init_args"]["latents_of"] == given[1]
    content = torch.load(latent, weights_only=True)
    assert content["global_step"] == 4 and content["hyper_parameters"]["autoencoder"]["init_args"]["num_codes"] > 0
