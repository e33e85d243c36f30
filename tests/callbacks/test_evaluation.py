"""Evaluation in training: right scores, the right checkpoint, and no trace in the run."""

import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from jsonargparse import ArgumentParser
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from lit_gen.callbacks import EMA, Evaluation, SampleGrid
from lit_gen.callbacks.sampling import draw
from lit_gen.errors import UserError
from lit_gen.metrics import Evaluator
from lit_gen.metrics.extractors import Classifier, TorchModule
from lit_gen.training.loading import load, read_checkpoint


def random_state() -> tuple[Any, ...]:
    return torch.get_rng_state().tolist(), numpy.random.get_state()[1].tolist(), random.getstate()


class Watch(Callback):
    """Takes the random state before and after validation."""

    def __init__(self) -> None:
        self.states: list[tuple[Any, ...]] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.states.append(random_state())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert self.states[-1] == random_state()


def test_best_checkpoint_by_fid(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], pixels: Any
) -> None:
    evaluation = Evaluation(["fid", "kid"], pixels(), num_samples=100, batch_size=40, seed=3)
    best = ModelCheckpoint(tmp_path, "best", monitor="fid[pixels]", mode="min")
    run = trainer(
        callbacks=[best, evaluation, EMA(60.0)], val_check_interval=4, max_steps=12, logger=CSVLogger(tmp_path, "run")
    )
    run.fit(gan(), datamodule=digits())

    folder = tmp_path / "run" / "version_0"
    scores = {
        entry["step"]: entry for path in (folder / "evaluation").iterdir() for entry in [json.loads(path.read_text())]
    }
    assert sorted(scores) == [4, 8, 12] and set(scores[4]) == {"step", "metrics", "protocol", "seconds"}
    fid = {step: entry["metrics"]["fid"] for step, entry in scores.items()}
    winner = min(fid, key=fid.get)  # type: ignore[arg-type]
    checkpoint = read_checkpoint(best.best_model_path)
    assert checkpoint["global_step"] == winner and float(best.best_model_score) == pytest.approx(fid[winner])
    assert float(run.callback_metrics["fid[pixels]"]) == pytest.approx(fid[12])
    assert {"fid[pixels]", "kid_mean[pixels]"} <= set((folder / "metrics.csv").read_text().splitlines()[0].split(","))
    assert scores[4]["protocol"]["weights"] == "ema" and scores[4]["protocol"]["split"] == "val"

    # The number is the evaluator's own for the averaged weights of the checkpoint.
    data, model = digits(), load(best.best_model_path)
    evaluator = Evaluator(pixels(), ["fid"], 100, "val", batch_size=40, seed=3)
    evaluator.prepare(data)
    result = evaluator.evaluate((i, draw(model, 3, i.tolist())) for i in evaluator.indices())
    assert result.metrics["fid"] == pytest.approx(fid[winner], rel=1e-6)
    assert evaluation.last_result is not None and evaluation.last_result.metrics["fid"] == fid[12]


def test_training_is_bitwise_the_same_without(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], pixels: Any
) -> None:
    def run(*callbacks: Callback, **arguments: Any) -> tuple[Any, Any]:
        model = gan()
        fit = trainer(callbacks=[EMA(60.0, buffers="reestimate"), *callbacks], max_steps=9, **arguments)
        fit.fit(model, datamodule=digits())
        return fit, model

    watch = Watch()
    plain, expected = run()
    scored, model = run(watch, SampleGrid(2), Evaluation(["fid"], pixels(), 50), val_check_interval=3)
    assert len(watch.states) == 3
    for a, b in zip(plain.optimizers, scored.optimizers, strict=True):
        states = [[value for state in it.state_dict()["state"].values() for value in state.values()] for it in (a, b)]
        assert states[0] and all(torch.equal(x, y) for x, y in zip(*states, strict=True))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in expected.state_dict().items())
    averages = [it.callbacks[0].state_dict()["average"] for it in (plain, scored)]
    names = [name for name, _ in expected.named_parameters() if name.startswith("generator")]
    assert all(torch.equal(averages[0][name], averages[1][name]) for name in names)


def test_preparation_leaves_the_random_state(digits: Any, gan: Callable[..., Any], tmp_path: Path) -> None:
    evaluation = Evaluation(["fid"], Classifier(cache_dir=str(tmp_path)), 50)
    run = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    data = run.datamodule = digits()  # type: ignore[attr-defined]
    data.trainer = run
    model = gan()
    before = random_state()
    evaluation.setup(run, model, "fit")
    assert before == random_state()


def test_every_other_validation_but_not_the_sanity_check(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], pixels: Any
) -> None:
    evaluation = Evaluation(["fid"], pixels(), 50, every_n_validations=2)
    run = trainer(callbacks=[evaluation], val_check_interval=1, max_steps=4, num_sanity_val_steps=1)
    run.fit(gan(), datamodule=digits())
    steps = sorted(path.name for path in (tmp_path / "evaluation").iterdir())
    assert steps == ["step_00000001.json", "step_00000003.json"]
    assert evaluation.state_dict() == {"validations": 4}
    assert evaluation.last_result is not None and evaluation.last_result.protocol.weights == "raw"


def test_test_and_validate(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], pixels: Any
) -> None:
    evaluation = Evaluation(["fid"], pixels(), 50)
    run, model = trainer(callbacks=[evaluation], limit_val_batches=1), gan()
    run.test(model, datamodule=digits(), verbose=False)
    assert evaluation.last_result is not None and evaluation.last_result.protocol.split == "test"
    assert float(run.callback_metrics["fid[pixels]"]) == pytest.approx(evaluation.last_result.metrics["fid"])
    run.validate(model, datamodule=digits(), verbose=False)
    assert evaluation.last_result.protocol.split == "val"
    assert sorted(path.name for path in (tmp_path / "evaluation").iterdir()) == ["test.json", "val.json"]


def test_missing_weights_end_the_run_before_it_starts(
    gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]
) -> None:
    extractor = TorchModule("torch.nn.Flatten", weights_path="nowhere.pt")
    run = trainer(callbacks=[Evaluation(["fid"], extractor)])
    with pytest.raises(UserError, match=r"nowhere\.pt does not exist"):
        run.fit(gan(), datamodule=digits())
    assert run.global_step == 0


@pytest.mark.parametrize("case", ["unlabelled", "no metrics", "no images", "no classes"])
def test_off_with_a_reason(
    case: str, tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], monkeypatch: Any
) -> None:
    data = digits()
    if case == "unlabelled":
        monkeypatch.setattr(type(data), "class_names", None)
    if case == "no images":
        data.val_size = 0
    best = ModelCheckpoint(tmp_path, monitor="fid[classifier]", mode="min")
    metrics = {"no metrics": [], "no classes": ["fid_class"]}.get(case, ["fid"])
    run = trainer(callbacks=[Evaluation(metrics), best], val_check_interval=2, max_steps=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run.fit(gan(), datamodule=data)
    said = [str(warning.message) for warning in caught if "Evaluation is off" in str(warning.message)]
    assert run.global_step == 4 and best.best_model_path == ""
    assert len(said) == (case != "no metrics")
    if case == "no classes":
        assert "GAN does not draw the classes of the data, which fid_class needs" in said[0]
    if case == "unlabelled":
        assert (
            "no labels to train a classifier on; take another extractor (--evaluation.extractor InceptionV3)" in said[0]
        )


def test_every_class_of_a_conditional_model(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], pixels: Any
) -> None:
    evaluation = Evaluation(["fid_class"], pixels(), 50, batch_size=16)
    run = trainer(callbacks=[evaluation], val_check_interval=4, max_steps=4, logger=CSVLogger(tmp_path, "run"))
    model, data = gan(conditional=True), digits()
    run.fit(model, datamodule=data)
    result = evaluation.last_result
    assert result is not None and result.protocol.labels == "balanced"
    assert {f"fid_class/{name}" for name in data.class_names} <= set(result.metrics)
    # The same number as of the images of each class, drawn by hand: image i is of class i modulo 10.
    expected = Evaluator(pixels(), "fid_class", 50, split="val", batch_size=7)
    expected.prepare(data)
    label = torch.arange(50) % 10
    model.eval()
    image = draw(model, 0, list(range(50)), label)
    again = expected.evaluate([(torch.arange(50), image, label)], "raw")
    assert again.metrics == pytest.approx(result.metrics, rel=1e-4)
    assert again.protocol == result.protocol


def test_without_a_datamodule_it_says_so(gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]) -> None:
    with pytest.raises(UserError, match="needs a datamodule"):
        trainer(callbacks=[Evaluation(["fid"])]).fit(gan(), digits().train_dataloader())


def test_a_model_gone_nan_is_one_clear_line(
    gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], pixels: Any
) -> None:
    class Poison(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
            torch.nn.init.constant_(pl_module.generator.layers[0].weight, torch.nan)

    run = trainer(callbacks=[Poison(), Evaluation(["fid"], pixels(), 50)], val_check_interval=1)
    with pytest.raises(UserError, match="samples hold NaN: training has diverged"):
        run.fit(gan(), datamodule=digits())


def test_from_yaml() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--callbacks", type=list[Callback])
    names = ["EMA", "SampleGrid", "DivergenceGuard", "Throughput", "ProgressBar"]
    extractor = {"class_path": "lit_gen.metrics.extractors.InceptionV3", "init_args": {"weights_path": "it.pth"}}
    spec: list[Any] = [{"class_path": f"lit_gen.callbacks.{name}"} for name in names]
    spec.append(
        {
            "class_path": "lit_gen.callbacks.Evaluation",
            "init_args": {"metrics": ["kid"], "extractor": extractor, "max_share": 0.1},
        }
    )
    built = parser.instantiate(parser.parse_object({"callbacks": spec})).callbacks
    assert [type(it).__name__ for it in built] == [*names, "Evaluation"]
    assert built[-1].extractor.weights_path == "it.pth" and built[-1].metrics == ("kid",)
    assert built[-1]._budget.max_share == 0.1


def test_bad_arguments() -> None:
    with pytest.raises(UserError, match="every_n_validations is 0"):
        Evaluation(every_n_validations=0)


def test_images_do_not_depend_on_the_batch(gan: Callable[..., Any]) -> None:
    model = gan().eval()
    parts: list[Tensor] = [draw(model, 0, range(0, 7)), draw(model, 0, range(7, 9))]
    assert (torch.cat(parts).int() - draw(model, 0, range(9)).int()).abs().max() <= 1
