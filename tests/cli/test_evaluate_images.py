"""``lit-gen evaluate`` with scores of single images, alone and beside those of samples."""

import json
import math
import sys
from pathlib import Path

import pytest

MODEL = '''
"""An autoencoder that also samples, and knows a likelihood."""

import math

import torch

from lit_gen.functional.noise import randn
from lit_gen.training.module import GenerativeModule


class Copier(GenerativeModule):
    """Creates a model that gives images back a few levels lighter."""

    def __init__(self, image_shape, levels: float = 4.0) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.levels = torch.nn.Parameter(torch.tensor(levels))

    def training_step(self, batch, batch_idx):
        loss = 0 * self.levels
        self.record({"loss": loss})
        self.log_recorded()
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def reconstruct(self, image, label=None, generator=None):
        return image + self.levels / 127.5

    def sample(self, num, label=None, generator=None):
        return randn((num, *self.image_shape), generator, self.device)

    def log_prob(self, image, label=None, generator=None):
        return image.new_full((len(image),), -image[0].numel() * math.log(256.0))
'''


@pytest.fixture
def copier(lit_gen, tmp_path, monkeypatch):
    """A run of two steps."""
    (tmp_path / "copying.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    data = ("--data", "Digits", "--data.image_size", "null", "--data.val_size", 20, "--data.test_size", 30)
    arguments = ("--trainer.max_steps", 2, "--trainer.accelerator", "cpu", "--trainer.val_check_interval", 1)
    metrics = ("--evaluation.metrics", "[l1,bpd]", "--evaluation.batch_size", 16)
    said = lit_gen("fit", "--model", "copying.Copier", *data, *arguments, *metrics)
    assert said.status == 0, said.err
    yield "last"
    sys.modules.pop("copying", None)


def test_images_alone_and_beside_samples(lit_gen, copier):
    arguments = ("evaluate", "--ckpt_path", copier, "--device", "cpu", "--trust", "copying", "--batch_size", 16)
    said = lit_gen(*arguments, "--metrics", "l1,psnr,bpd", "--output", "images.json")
    assert (said.status, said.err) == (0, "")
    pixels = json.loads(Path("images.json").read_text())
    (likelihood,) = pixels["more"]
    assert pixels["metrics"].keys() == {f"{name}_{kind}" for name in ("l1", "psnr") for kind in ("mean", "std")}
    assert 0 < pixels["metrics"]["l1_mean"] <= 4 / 255  # white pixels cannot get lighter
    assert pixels["metrics"]["psnr_mean"] >= 20 * math.log10(255 / 4) - 1e-4
    assert likelihood["metrics"]["bpd_mean"] == pytest.approx(8.0, rel=1e-6)
    assert pixels["protocol"]["num_images"] == 30 and pixels["protocol"]["split"] == "test"
    assert f"l1[reconstruction]    {pixels['metrics']['l1_mean']:.5g} ±" in said.out
    assert "bpd[likelihood]  8 ± " in said.out

    lit_gen(*arguments, "--metrics", "fid,l1,bpd", "--num_samples", 40, "--output", "both.json")
    both = json.loads(Path("both.json").read_text())
    assert both["metrics"].keys() == {"fid", "fid_std"} and both["protocol"]["num_samples"] == 40
    assert [result["protocol"]["hash"] for result in both["more"]] == [
        pixels["protocol"]["hash"],
        likelihood["protocol"]["hash"],
    ]

    said = lit_gen("test", "--ckpt_path", copier, "--trust", "copying", "--trainer.accelerator", "cpu")
    assert said.status == 0 and "bpd[likelihood]  8 ± " in said.out
    assert "l1_mean[reconstruction]  " not in said.out  # the table has it


def test_what_a_model_cannot_do(lit_gen, trained):
    for metrics, line in {
        "bpd,fid": "GAN has no likelihood (log_prob), which bpd would be of; leave out what it lacks",
        "psnr,l1": "GAN neither translates nor reconstructs, which psnr, l1 would compare; leave out what it lacks",
        "ssmi": "there is no metric 'ssmi'",
    }.items():
        said = lit_gen("evaluate", "--ckpt_path", trained, "--metrics", metrics, "--device", "cpu")
        assert said.status == 2 and said.out == "" and line in said.err and said.err.count("\n") == 1
