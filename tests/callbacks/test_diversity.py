"""What the watch for mode collapse measures, when it rings, and that it leaves no trace in the run."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger

from lit_gen.callbacks import EMA, Diversity
from lit_gen.metrics.extractors import Classifier

ALARM = "mode collapse"


@pytest.fixture
def ready(gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], tmp_path: Path) -> Diversity:
    """A watch with a classifier of the digits, set up and not yet trained with."""
    watch = Diversity(num_samples=50, extractor=Classifier(cache_dir=str(tmp_path)))
    run = trainer(callbacks=[watch], max_steps=0)
    run.fit(gan(), datamodule=digits())
    return watch


def test_real_images_are_as_diverse_as_real_images_and_one_image_is_not(ready: Diversity, digits: Any) -> None:
    data = digits()
    image = next(iter(data.batches("val", 50)))["image"]
    same = ready.measure(image)
    assert same["diversity/features"] == pytest.approx(1) and same["diversity/pixels"] == pytest.approx(1)
    assert same["diversity/label_entropy"] > 0.95 * math.log(10)
    assert same["diversity/label_divergence"] < 0.01 and same["diversity/classes_found"] == 10

    others = ready.measure(next(iter(data.batches("train", 500)))["image"])
    assert others["diversity/features"] == pytest.approx(1, abs=0.1)
    assert others["diversity/pixels"] == pytest.approx(1, abs=0.1)

    collapsed = ready.measure(image[:1].repeat(50, 1, 1, 1))
    assert collapsed["diversity/features"] == collapsed["diversity/pixels"] == 0
    assert (collapsed["diversity/label_entropy"], collapsed["diversity/classes_found"]) == (0, 1)
    assert collapsed["diversity/label_divergence"] == pytest.approx(math.log(10), abs=0.5)

    # Two modes at distance d: half of all pairs, up to n / (n − 1), are that far from each other.
    two = ready.measure(image[:2].repeat(25, 1, 1, 1))
    assert 0 < two["diversity/features"] < 0.9
    assert two["diversity/label_entropy"] <= math.log(2) + 1e-9


def test_it_logs_at_every_validation_and_rings_once(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], pixels: Any
) -> None:
    def run(alarm: float, alarm_from: int = 4) -> list[str]:
        watch = Diversity(num_samples=30, extractor=pixels(), alarm=alarm, alarm_from=alarm_from)
        fit = trainer(
            callbacks=[watch, EMA(60.0)],
            val_check_interval=2,
            max_steps=6,
            logger=CSVLogger(tmp_path, f"alarm_{alarm}"),
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit.fit(gan(), datamodule=digits())
        return [str(it.message) for it in caught if ALARM in str(it.message)]

    rings = run(0.9)
    assert len(rings) == 1 and "At step 4 two samples are" in rings[0]
    assert run(0.0) == []
    assert run(0.8, alarm_from=7) == []
    lines = (tmp_path / "alarm_0.9/version_0/metrics.csv").read_text().splitlines()
    names = lines[0].split(",")
    assert {"diversity/features", "diversity/pixels"} <= set(names)
    assert "diversity/label_entropy" not in names  # pixels are not classified
    steps = [
        line.split(",")[names.index("step")] for line in lines[1:] if line.split(",")[names.index("diversity/pixels")]
    ]
    assert steps == ["2", "4", "6"]


def test_it_rings_when_diversity_falls_however_early(
    gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], pixels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = iter([0.2, 0.7, 0.4])
    monkeypatch.setattr(Diversity, "measure", lambda *_: {"diversity/features": next(course)})
    watch = Diversity(num_samples=30, extractor=pixels())
    with pytest.warns(UserWarning, match="At step 6 two samples are on average 0.40 times"):
        trainer(callbacks=[watch], val_check_interval=2).fit(gan(), datamodule=digits())
    again = Diversity()
    again.load_state_dict(watch.state_dict())
    assert again._alarmed and again._risen


def test_training_is_bitwise_the_same_without(
    gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], pixels: Any
) -> None:
    def run(*callbacks: Any) -> dict[str, torch.Tensor]:
        model = gan()
        fit = trainer(callbacks=[EMA(60.0), *callbacks], val_check_interval=2)
        fit.fit(model, datamodule=digits())
        return model.state_dict()

    plain, watched = run(), run(Diversity(num_samples=30, extractor=pixels(), alarm=0.0))
    assert plain.keys() == watched.keys() and all(torch.equal(plain[name], watched[name]) for name in plain)


def test_unlabelled_data_need_another_extractor(
    gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = digits()
    monkeypatch.setattr(type(data), "class_names", None)
    with pytest.warns(UserWarning, match="Diversity is off: the data have no labels"):
        trainer(callbacks=[Diversity()]).fit(gan(), datamodule=data)
