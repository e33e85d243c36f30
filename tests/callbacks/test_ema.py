"""EMA: closed form, swapping, buffers, checkpoints and resume."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lit_gen.callbacks import EMA, Evaluation, SampleGrid
from lit_gen.callbacks.ema import averaged, find_ema
from lit_gen.errors import UserError
from lit_gen.training.averaged_weights import averaged_state
from lit_gen.training.loading import load, read_checkpoint


class Toy(LightningModule):
    """Two averaged networks, one of them frozen, with every kind of buffer; and one that is not averaged."""

    averaged_networks = ("first", "second")
    image_shape = (1, 2, 2)

    def __init__(self) -> None:
        super().__init__()
        self.images_seen = 0
        self.first = nn.Sequential(spectral_norm(nn.Linear(4, 4)), nn.BatchNorm1d(4), nn.Dropout())
        self.second = nn.Linear(4, 4).requires_grad_(False)
        self.other = nn.Linear(4, 4)

    def sample(self, num: int, label: Tensor | None = None, generator: Any = None) -> Tensor:
        z = torch.randn(num, 4, generator=generator)
        return self.second(self.first(z)).view(num, 1, 2, 2)


def started(model: LightningModule, **arguments: Any) -> EMA:
    ema = EMA(**arguments)
    ema.setup(None, model, "fit")  # type: ignore[arg-type]
    ema.on_train_start(None, model)  # type: ignore[arg-type]
    return ema


def train(ema: EMA, model: Any, images: int) -> None:
    """Plays one training batch that draws new weights and buffers."""
    with torch.no_grad():
        for tensor in model.first.parameters():
            tensor.copy_(torch.randn_like(tensor))
        for buffer in model.first.buffers():
            buffer.copy_(torch.randn_like(buffer.float()).abs())
    model.images_seen += images
    ema.on_train_batch_end(None, model, None, None, 0)  # type: ignore[arg-type]


def copies(model: LightningModule) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_equal_to_the_closed_form() -> None:
    model = Toy()
    ema, name = started(model, half_life=100.0, ramp_up=None), "first.1.weight"
    expected, ages = [copies(model)[name]], [0]
    for images in (10, 64, 3, 100):
        train(ema, model, images)
        expected.append(copies(model)[name])
        ages = [age + images for age in ages] + [0]
    # A value counts for the images between its coming and its going.
    shares = [2 ** (-ages[0] / 100), *(2 ** (-ages[i] / 100) - 2 ** (-ages[i - 1] / 100) for i in range(1, len(ages)))]
    assert sum(shares) == pytest.approx(1)
    truth = sum(share * value for share, value in zip(shares, expected, strict=True))
    torch.testing.assert_close(ema.state_dict()["average"][name], truth)


def test_ramp_up_forgets_the_first_weights() -> None:
    model = Toy()
    ema, name = started(model, half_life=1e9, ramp_up=0.1), "first.1.weight"
    train(ema, model, 64)
    assert torch.equal(ema.state_dict()["average"][name], model.state_dict()[name])
    old = copies(model)[name]
    train(ema, model, 64)  # half-life 6.4 images: the old weigh 2⁻¹⁰
    torch.testing.assert_close(ema.state_dict()["average"][name], torch.lerp(old, copies(model)[name], 1 - 2**-10))


@pytest.mark.parametrize("failing", [False, True])
def test_swapped_in_and_out(failing: bool) -> None:
    model = Toy()
    ema = started(model, half_life=50.0)
    optimizer = torch.optim.Adam(model.first.parameters())
    for _ in range(3):
        train(ema, model, 10)
    live, places = copies(model), [tensor.data_ptr() for tensor in model.state_dict().values()]
    try:
        with ema.swapped(model):
            average = ema.state_dict()["average"]
            inside = copies(model)
            assert all(torch.equal(inside[name], average[name]) for name in average)
            assert not torch.equal(inside["first.1.weight"], live["first.1.weight"])
            with ema.swapped(model):
                pass
            assert same(copies(model), inside)
            with pytest.raises(AssertionError, match="swapped in"):
                ema.on_save_checkpoint(None, model, {})  # type: ignore[arg-type]
            if failing:
                raise KeyError
    except KeyError:
        assert failing
    assert same(copies(model), live)
    assert places == [tensor.data_ptr() for tensor in model.state_dict().values()]
    assert optimizer.param_groups[0]["params"][0] is next(model.first.parameters())
    assert model.first[1].training


def test_names_parameters_and_buffers_of_all_networks() -> None:
    model = Toy()
    ema = started(model)
    train(ema, model, 10)
    average = ema.state_dict()["average"]
    assert set(average) == {name for name in model.state_dict() if not name.startswith("other")}
    assert torch.equal(average["second.weight"], model.second.weight)


def test_buffers_are_copied() -> None:
    model = Toy()
    ema = started(model, half_life=1e9, ramp_up=None)
    for _ in range(2):
        train(ema, model, 10)
    live = copies(model)
    with ema.swapped(model):
        for name, buffer in model.first.named_buffers(prefix="first"):
            assert torch.equal(buffer, live[name]), name


def test_batch_norm_is_reestimated_for_the_averaged_weights() -> None:
    model = Toy()
    ema = started(model, half_life=30.0, ramp_up=None, buffers="reestimate", num_batches=64, batch_size=128)
    for _ in range(3):
        train(ema, model, 10)
    live, random = copies(model), torch.get_rng_state()
    with ema.swapped(model):
        linear, norm = model.first[0].eval(), model.first[1]
        truth = linear.weight.square().sum(1)  # W z + b with z ~ N(0, I): mean b, variance ‖w‖²
        assert ((norm.running_mean - linear.bias).abs() < 0.1 * truth.sqrt()).all()
        assert ((norm.running_var / truth - 1).abs() < 0.1).all()
        names = [name for name in live if name.endswith(("_u", "_v"))]
        assert len(names) == 2 and all(torch.equal(live[name], model.state_dict()[name]) for name in names)
        first = copies(model)
    assert same(copies(model), live) and torch.equal(random, torch.get_rng_state())
    ema._averages["ema"].buffers_from = None
    with ema.swapped(model):
        assert same(copies(model), first)


def test_validation_in_inference_mode_leaves_averages_that_train() -> None:
    model = Toy()
    ema = EMA()
    ema.setup(None, model, "fit")  # type: ignore[arg-type]
    with torch.inference_mode(), ema.swapped(model):
        pass
    ema.on_train_start(None, model)  # type: ignore[arg-type]
    train(ema, model, 10)


def test_another_model_gets_its_own_averages() -> None:
    model, other = Toy(), Toy()
    ema = started(model)
    ema.setup(None, other, "test")  # type: ignore[arg-type]
    before = copies(other)
    with ema.swapped(other):
        assert same(copies(other), before)


@pytest.mark.parametrize("half_life", [0, None])
def test_off(half_life: float | None, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]) -> None:
    ema = EMA(half_life=half_life)
    run = trainer(callbacks=[ema], max_steps=1)
    run.fit(gan(), datamodule=digits())
    assert find_ema(run) is None and ema.state_dict() == {}
    with averaged(run, run.lightning_module):
        pass


def test_a_model_without_averaged_networks_is_left_alone() -> None:
    model = Toy()
    model.averaged_networks = ()
    ema = EMA()
    with pytest.warns(UserWarning, match="EMA is off: Toy names no averaged_networks"):
        ema.setup(None, model, "fit")  # type: ignore[arg-type]
    assert not ema.half_life


@pytest.mark.parametrize(
    "arguments", [{"half_life": -1.0}, {"buffers": "average"}, {"num_batches": 0}, {"batch_size": 1}]
)
def test_bad_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(arguments))):
        EMA(**arguments)


@pytest.mark.parametrize("buffers", ["copy", "reestimate"])
def test_saved_loaded_and_resumed_bit_for_bit(
    buffers: str, tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]
) -> None:
    def run(ema: EMA, **arguments: Any) -> tuple[Any, EMA]:
        model = gan(n_critic=2)
        save = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=5, save_top_k=-1)
        trainer(callbacks=[save, ema], max_steps=8).fit(model, datamodule=digits(), **arguments)
        with ema.swapped(model):
            pass
        return model, ema

    make = {"half_life": 60.0, "ramp_up": 0.5, "buffers": buffers}
    _, whole = run(EMA(**make))
    path = tmp_path / "step=5.ckpt"
    checkpoint = read_checkpoint(path)
    assert set(averaged_state(checkpoint)) == {
        name for name in checkpoint["state_dict"] if name.startswith("generator")
    }

    loaded, raw = load(path), load(path, weights="raw")
    assert all(torch.equal(loaded.state_dict()[name], value) for name, value in averaged_state(checkpoint).items())
    assert not torch.equal(loaded.generator.layers[0].weight, raw.generator.layers[0].weight)
    if buffers == "copy":
        assert torch.equal(loaded.generator.layers[1].running_mean, raw.generator.layers[1].running_mean)

    _, resumed = run(EMA(**make), ckpt_path=path)
    assert same(whole.state_dict()["average"], resumed.state_dict()["average"])
    assert whole.state_dict()["images_seen"] == resumed.state_dict()["images_seen"] == 8 * 16


def test_validate_takes_the_averages_of_the_checkpoint(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]
) -> None:
    trainer(callbacks=[EMA(60.0), ModelCheckpoint(tmp_path, "it", every_n_train_steps=6)]).fit(
        gan(), datamodule=digits()
    )
    expected = averaged_state(read_checkpoint(tmp_path / "it.ckpt"))
    seen = {}

    class Look(Callback):
        def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            with averaged(trainer, pl_module):
                seen.update(copies(pl_module))

    run = trainer(callbacks=[EMA(60.0), Look()], limit_val_batches=1)
    run.validate(gan(), datamodule=digits(), ckpt_path=tmp_path / "it.ckpt", verbose=False)
    assert all(torch.equal(seen[name], value) for name, value in expected.items())


def test_only_a_fit_begins_averages(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, pixels: Any, trainer: Callable[..., Trainer]
) -> None:
    """A checkpoint has none: what is scored are its weights as they are, and they are called so."""
    trainer(callbacks=[ModelCheckpoint(tmp_path, "it", every_n_train_steps=6)]).fit(gan(), datamodule=digits())
    ema = EMA(60.0, half_lives=[30.0])
    evaluation = Evaluation(["fid"], pixels(), 50)
    run = trainer(callbacks=[ema, evaluation], limit_val_batches=1)
    run.validate(gan(), datamodule=digits(), ckpt_path=tmp_path / "it.ckpt", verbose=False)
    assert evaluation.last_result is not None and evaluation.last_result.protocol.weights == "raw"
    with pytest.raises(UserError, match="and the EMA keeps raw: "):
        ema.chosen("ema:30")
    run.save_checkpoint(tmp_path / "again.ckpt")
    assert not averaged_state(read_checkpoint(tmp_path / "again.ckpt"))


def test_the_order_of_callbacks_does_not_matter(
    gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]
) -> None:
    grids = []

    class Keep(SampleGrid):
        def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
            grids.append(self.grid(trainer, pl_module))

    for order in (1, -1):
        callbacks = [EMA(60.0), Keep(every_n_steps=2, num_samples=4)][::order]
        trainer(callbacks=callbacks, max_steps=4).fit(gan(), datamodule=digits())
    half = len(grids) // 2
    assert half >= 3 and all(torch.equal(a, b) for a, b in zip(grids[:half], grids[half:], strict=True))
    assert not torch.equal(grids[0], grids[half - 1])
