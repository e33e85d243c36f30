"""Every shipped configuration of autoencoders runs, with small networks: steps, validations, scores, checkpoints."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch
import yaml
from methods import small_networks

import lit_gen
import lit_gen.configs
from lit_gen.__main__ import main
from lit_gen.contracts import SupportsSample

FOLDER = Path(lit_gen.configs.__file__).parent / "vae"
CONFIGS = [path for path in sorted(FOLDER.glob("*.yaml")) if not path.stem.startswith("gaussian_mixture")]
SHORT = (
    *("--trainer.max_steps", "4", "--trainer.val_check_interval", "2", "--trainer.limit_val_batches", "1"),
    *("--evaluation.num_samples", "20", "--samples.num_samples", "4", "--data.batch_size", "8"),
    *("--trainer.log_every_n_steps", "1", "--trainer.accelerator", "cpu", "--evaluation.metrics", "[psnr]"),
)


@pytest.fixture(scope="module")
def data(
    tmp_path_factory: pytest.TempPathFactory, write_idx_files: Callable[..., None], write_sprites: Callable[..., None]
) -> Path:
    """A data root with a little of everything, in the official formats; all but a few images are black."""
    root = tmp_path_factory.mktemp("data")
    random = numpy.random.default_rng(0)
    write_idx_files(root, random)
    write_sprites(root, random)
    return root


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_runs(path: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_GEN_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    given = yaml.safe_load(path.read_text("utf-8"))
    init = {**given["model"].get("init_args", {}), **small_networks(given["model"])}
    small = {"model": {"class_path": given["model"]["class_path"], "init_args": init}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    assert main(["fit", "--config", f"vae/{path.stem}", "--config", "small.yaml", *SHORT]) == 0
    (run,) = (tmp_path / "runs").glob("*/version_0")
    for file in ("config.yaml", "metrics.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
        assert (run / file).is_file(), file
    monitor = given["checkpoint"]["monitor"]
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [row["step"] for row in rows if row[monitor]] == ["2", "4"]
    scores = [json.loads(file.read_text()) for file in (run / "evaluation").glob("*.json")]
    assert len(scores) == 2 and all(score["metrics"]["psnr_mean"] > 0 for score in scores)
    model = lit_gen.load(run / "checkpoints" / "last.ckpt")
    image = torch.rand(2, *model.image_shape) * 2 - 1
    label = None if getattr(model, "num_classes", None) is None else torch.tensor([0, 1])
    assert model.reconstruct(image, label).shape == image.shape
    if isinstance(model, SupportsSample):
        assert torch.isfinite(model.sample(2)).all()
        assert list((run / "samples").glob("*.png"))


def test_log_probabilities_are_scored_by_the_command_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIT_GEN_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    tiny = ("--model.encoder.width", "8", "--model.decoder.width", "8", "--model.log_prob_samples", "60")
    assert main(["fit", "--config", "vae/vae_mnist", *tiny, *SHORT, "--evaluation.metrics", "[]"]) == 0
    (run,) = (tmp_path / "runs").glob("*/version_0")
    how = ("--metrics", "nll,bpd,psnr", "--num_real", "50")
    assert main(["evaluate", "--ckpt_path", str(run), *how]) == 0
    said = capsys.readouterr().out
    assert "nll" in said and "bpd" in said
