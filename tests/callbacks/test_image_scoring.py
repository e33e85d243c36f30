"""What models make of images, scored: closed forms, noise of each image's own, and clear lines."""

import json
import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

from lit_gen.callbacks import EMA, Evaluation
from lit_gen.callbacks.image_scoring import prepare_images, score_images
from lit_gen.datamodules import Digits
from lit_gen.errors import UserError
from lit_gen.functional.noise import rand, randn
from lit_gen.metrics.image_evaluator import ImageEvaluator
from lit_gen.metrics.split_share import positions
from lit_gen.models import Pix2Pix
from lit_gen.nn.patch_discriminator import PatchDiscriminator
from lit_gen.nn.unet import UNetGenerator
from lit_gen.training.module import GenerativeModule

CPU = torch.device("cpu")


class Noisy(nn.Module):
    """Gives images back with noise of a standard deviation."""

    def __init__(self, sigma: float = 0.1) -> None:
        super().__init__()
        self.sigma = sigma

    def reconstruct(self, image: Tensor, label: Any = None, generator: Any = None) -> Tensor:
        return image + self.sigma * randn(image.shape, generator, image.device)


class Inverter(nn.Module):
    """Translates sources to their negatives; never sees the image that should come out."""

    def translate(self, batch: Any, generator: Any = None) -> Tensor:
        assert "image" not in batch and batch["source"].dtype == torch.float32
        return -batch["source"]


class Pixels(nn.Module):
    """Independent pixels, each with the probabilities of 256 values, [H · W, 256]."""

    def __init__(self, probability: Tensor) -> None:
        super().__init__()
        self.probability = probability

    def log_prob(self, image: Tensor, label: Any = None, generator: Any = None) -> Tensor:
        value = image.add(1).mul(127.5).round().long().flatten(1)
        return self.probability.log().expand(len(value), -1, -1).gather(2, value[..., None]).sum(dim=(1, 2))


class Density(nn.Module):
    """A density p(y) = (1 + y) / 2 on [−1, 1] for each pixel, under uniform dequantisation."""

    def log_prob(self, image: Tensor, label: Any = None, generator: Any = None) -> Tensor:
        value = image.double().add(1).mul(127.5).round() + rand(image.shape, generator, image.device)  # (y + 1) · 128
        return (value / 256).log().sum(dim=(1, 2, 3)) - image[0].numel() * math.log(128.0)


class Paired:
    """Digits as the negatives of their sources."""

    paired = True

    def __init__(self, data: Any) -> None:
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    def batches(self, split: str, batch_size: int) -> Iterator[dict[str, Tensor]]:
        for batch in self.data.batches(split, batch_size):
            yield {**batch, "source": 255 - batch["image"]}


@pytest.fixture(scope="module")
def data() -> Digits:
    return Digits(image_size=12, val_size=30, test_size=41)


def score(model: Any, data: Any, metrics: Any, **arguments: Any) -> dict[str, float]:
    evaluator = ImageEvaluator(metrics, **{"batch_size": 16, **arguments})
    prepare_images(evaluator, model, data, CPU)
    results = score_images(evaluator, model, CPU, "raw")
    return {name: value for result in results for name, value in result.named().items()}


def test_a_uniform_model_needs_eight_bits(data: Digits) -> None:
    found = score(Pixels(torch.full((144, 256), 1 / 256, dtype=torch.float64)), data, ["bpd", "nll"])
    assert found["bpd_mean[likelihood]"] == pytest.approx(8.0, rel=1e-12)
    assert found["bpd_std[likelihood]"] == pytest.approx(0.0, abs=1e-12)
    assert found["nll_mean[likelihood]"] == pytest.approx(144 * math.log(256), rel=1e-12)


def test_the_best_factorised_model_reaches_the_entropy(data: Digits) -> None:
    # With the pixels' own frequencies, the cross entropy is the entropy of those, whatever the images are.
    values = torch.cat([batch["image"] for batch in data.batches("test", 64)]).flatten(1).long()
    frequency = torch.zeros(144, 256, dtype=torch.float64).scatter_add_(
        1, values.T, torch.full(values.T.shape, 1 / len(values), dtype=torch.float64)
    )
    entropy = -torch.special.xlogy(frequency, frequency).sum()
    found = score(Pixels(frequency), data, "bpd,nll")
    assert found["nll_mean[likelihood]"] == pytest.approx(float(entropy), rel=1e-12)
    assert found["bpd_mean[likelihood]"] == pytest.approx(float(entropy) / (144 * math.log(2)), rel=1e-12)


def test_dequantised_densities(data: Digits) -> None:
    # E_u[log((x + u) / 256)] − log 128 for each pixel, by ∫ log = x log x − x.
    values = torch.cat([batch["image"] for batch in data.batches("test", 64)]).flatten(1).double()
    exact = torch.special.xlogy(values + 1, values + 1) - torch.special.xlogy(values, values) - 1 - math.log(256 * 128)
    expected = -float(exact.sum(dim=1).mean())
    found = [score(Density(), data, "nll", num_draws=num)["nll_mean[likelihood]"] for num in (1, 100)]
    assert found[1] == pytest.approx(expected, rel=1e-3)
    assert found[0] != found[1] and found[0] == pytest.approx(expected, rel=2e-2)


@pytest.mark.parametrize("batch_size", [1, 7, 41, 64])
def test_noise_is_each_image_s_own(batch_size: int, data: Digits) -> None:
    for model, metrics in ((Noisy(), "psnr,ssim,l1"), (Density(), "bpd")):
        once = score(model, data, metrics, num_draws=3)
        assert score(model, data, metrics, num_draws=3, batch_size=batch_size) == pytest.approx(once, rel=1e-9)
        assert score(model, data, metrics, num_draws=3, seed=1) != pytest.approx(once, rel=1e-9)


def test_an_image_s_noise_is_the_same_among_fewer(data: Digits) -> None:
    class Recorder(Noisy):
        def reconstruct(self, image: Tensor, label: Any = None, generator: Any = None) -> Tensor:
            self.made = super().reconstruct(image, label, generator)
            return self.made

    model = Recorder()
    score(model, data, "l1", batch_size=41)
    every = model.made
    score(model, data, "l1", batch_size=41, num_real=20)
    assert torch.equal(model.made, every[positions(41, 20)])


def test_translations_are_compared_with_the_image_of_the_pair(data: Digits) -> None:
    found = score(Inverter(), Paired(data), "l1,psnr,ssim")
    assert found["l1_mean[translation]"] == 0 and found["psnr_mean[translation]"] == 100
    assert found["ssim_mean[translation]"] == pytest.approx(1.0)

    class Both(Inverter, Noisy):
        pass

    assert "l1_mean[translation]" in score(Both(), Paired(data), "l1")
    assert "l1_mean[reconstruction]" in score(Both(), data, "l1")


def test_translations_score_alike_at_any_batch_size(data: Digits) -> None:
    torch.manual_seed(0)
    unet, patches = partial(UNetGenerator, features=4, norm="batch"), partial(PatchDiscriminator, receptive_field=16)
    model = Pix2Pix((1, 12, 12), generator=unet, discriminator=patches)  # with dropout and the batch's statistics
    once = score(model, Paired(data), "l1", batch_size=41)
    assert score(model, Paired(data), "l1", batch_size=7) == pytest.approx(once, rel=1e-9)
    assert score(model, Paired(data), "l1", batch_size=41, seed=1) != pytest.approx(once, rel=1e-9)


def test_one_clear_line(data: Digits) -> None:
    with pytest.raises(UserError, match="Noisy has no likelihood \\(log_prob\\), which bpd would be of; leave out"):
        score(Noisy(), data, "psnr,bpd")
    with pytest.raises(UserError, match="Density neither translates nor reconstructs, which psnr, l1 would compare"):
        score(Density(), data, "psnr,l1,bpd")
    with pytest.raises(UserError, match="the data are no pairs, so that l1 could not compare translations of Inverter"):
        score(Inverter(), data, "l1")
    with pytest.raises(UserError, match="the model's reconstructions hold NaN: training has diverged"):
        score(Noisy(torch.nan), data, "l1")
    with pytest.raises(UserError, match="the nll of image 0 is inf"):
        score(Pixels(torch.zeros(144, 256)), data, "nll")

    class PerPixel(nn.Module):
        def log_prob(self, image: Tensor, label: Any = None, generator: Any = None) -> Tensor:
            return image

    with pytest.raises(UserError, match=r"log_prob of PerPixel gave \(16, 1, 12, 12\) numbers for 16 images"):
        score(PerPixel(), data, "nll")
    with pytest.raises(UserError, match="the data have no val images"):
        score(Noisy(), Digits(image_size=12, val_size=0), "l1", split="val")
    with pytest.raises(UserError, match="the data have fewer than two val images"):
        score(Noisy(), Digits(image_size=12, val_size=1), "l1", split="val")


def test_labels_for_conditional_models_only(data: Digits) -> None:
    class Conditional(nn.Module):
        num_classes: int | None = 10

        def log_prob(self, image: Tensor, label: Any = None, generator: Any = None) -> Tensor:
            assert (label is None) == (self.num_classes is None)
            return torch.zeros(len(image)) if label is None else -label.float()

    label = torch.cat([batch["label"] for batch in data.batches("test", 64)]).double()
    model = Conditional()
    assert score(model, data, "nll")["nll_mean[likelihood]"] == pytest.approx(float(label.mean()))
    evaluator = ImageEvaluator("nll")
    prepare_images(evaluator, model, data, CPU)
    (result,) = score_images(evaluator, model, CPU, "raw")
    assert result.protocol.compared == "log-probability of 8-bit images, given their class"
    model.num_classes = None
    assert score(model, data, "nll")["nll_mean[likelihood]"] == 0


class Bottleneck(GenerativeModule):
    """A single linear layer that learns to give images back; it also knows a likelihood."""

    averaged_networks = ("network",)

    def __init__(self, image_shape: tuple[int, int, int] = (1, 12, 12)) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.network = nn.Linear(144, 144)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = (self.reconstruct(batch["image"]) - batch["image"]).square().mean()
        self.record({"loss": loss})
        self.log_recorded()
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.network.parameters(), 0.1)

    def reconstruct(self, image: Tensor, label: Any = None, generator: Any = None) -> Tensor:
        made: Tensor = self.network(image.flatten(1)).view_as(image)
        return made

    def log_prob(self, image: Tensor, label: Any = None, generator: Any = None) -> Tensor:
        return image.new_full((len(image),), -144 * math.log(256.0))


@pytest.fixture
def fit(trainer: Callable[..., Trainer]) -> Callable[..., Trainer]:
    def run(*callbacks: Callback) -> Trainer:
        made = trainer(callbacks=list(callbacks), val_check_interval=2, max_steps=4)
        torch.manual_seed(0)
        made.fit(Bottleneck(), datamodule=Digits(image_size=12, batch_size=16, val_size=30))
        return made

    return run


def test_during_training(tmp_path: Path, fit: Callable[..., Trainer]) -> None:
    evaluation = Evaluation(["l1", "psnr", "bpd"], batch_size=16)
    run = fit(EMA(60.0), evaluation)
    names = sorted(path.name for path in (tmp_path / "evaluation").iterdir())
    assert names == ["step_00000002.json", "step_00000004.json"]
    entries = [json.loads((tmp_path / "evaluation" / name).read_text()) for name in names]
    assert entries[1]["metrics"]["l1_mean"] < entries[0]["metrics"]["l1_mean"]  # it learns
    assert entries[0]["protocol"]["split"] == "val" and entries[0]["protocol"]["weights"] == "ema"
    assert entries[0]["more"][0]["metrics"]["bpd_mean"] == pytest.approx(8.0)
    monitored = float(run.callback_metrics["l1_mean[reconstruction]"])
    assert monitored == pytest.approx(entries[1]["metrics"]["l1_mean"])
    assert evaluation.last_result is None and len(evaluation.last_results) == 2


def test_samples_are_off_where_images_are_on(fit: Callable[..., Trainer]) -> None:
    evaluation = Evaluation(["fid", "l1"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit(evaluation)
    said = [str(it.message) for it in caught if "Evaluation is off" in str(it.message)]
    assert said == ["Evaluation is off, no fid will be computed: Bottleneck does not sample"]
    assert "l1_mean[reconstruction]" in run.callback_metrics


def test_images_are_off_where_samples_are_on(
    gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], pixels: Any
) -> None:
    unheard = ModelCheckpoint(monitor="bpd_mean[likelihood]")
    run = trainer(callbacks=[Evaluation(["fid", "bpd"], pixels(), 50), unheard], val_check_interval=2, max_steps=2)
    with pytest.warns(UserWarning, match="no bpd will be computed: GAN has no likelihood"):
        run.fit(gan(), datamodule=digits())
    assert "fid[pixels]" in run.callback_metrics and unheard.best_model_path == ""


def test_what_cannot_be_computed_ends_the_run_before_it_starts(fit: Callable[..., Trainer]) -> None:
    with pytest.raises(UserError, match=r"lpips sees images of 16×16 or more .* are of 12×12"):
        fit(Evaluation(["lpips"]))
