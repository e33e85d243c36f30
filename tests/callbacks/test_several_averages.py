"""EMA of several half-lives: each is what it would be alone, resumes bit for bit, and is found by its name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

from lit_gen.callbacks import EMA
from lit_gen.errors import UserError
from lit_gen.training.averaged_weights import average_name, check_weights, chosen_weights
from lit_gen.training.loading import load, read_checkpoint


class Toy(LightningModule):
    """One averaged network with a batch norm."""

    averaged_networks = ("network",)
    image_shape = (1, 2, 2)

    def __init__(self) -> None:
        super().__init__()
        self.images_seen = 0
        self.network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))

    def sample(self, num: int, label: Tensor | None = None, generator: Any = None) -> Tensor:
        return self.network(torch.randn(num, 4, generator=generator)).view(num, 1, 2, 2)


def started(model: LightningModule, **arguments: Any) -> EMA:
    ema = EMA(**arguments)
    ema.setup(None, model, "fit")  # type: ignore[arg-type]
    ema.on_train_start(None, model)  # type: ignore[arg-type]
    return ema


def step(model: Toy, images: int, *emas: EMA) -> None:
    """Plays one training batch that draws new weights."""
    with torch.no_grad():
        for tensor in model.network.parameters():
            tensor.copy_(torch.randn_like(tensor))
    model.images_seen += images
    for ema in emas:
        ema.on_train_batch_end(None, model, None, None, 0)  # type: ignore[arg-type]


def test_each_average_is_the_closed_form_s() -> None:
    model, half_lives = Toy().double(), {"ema": 100.0, "ema:30": 30.0, "ema:5000": 5000.0}
    ema = started(model, half_life=100.0, half_lives=[30, 5e3], ramp_up=None)
    wanted = {name: model.network[0].weight.detach().clone() for name in half_lives}
    for images in (10, 64, 3):
        step(model, images, ema)
        for name, half_life in half_lives.items():
            wanted[name] = torch.lerp(wanted[name], model.network[0].weight.detach(), 1 - 2 ** (-images / half_life))
    for name in half_lives:
        with ema.swapped(model, name):
            torch.testing.assert_close(model.network[0].weight.detach(), wanted[name])
    live = model.network[0].weight.detach().clone()
    with ema.swapped(model, "raw"):
        assert torch.equal(model.network[0].weight, live)
    with ema.swapped(model, "ema:3e1"), ema.swapped(model):  # within a block, another does nothing
        torch.testing.assert_close(model.network[0].weight.detach(), wanted["ema:30"])


@pytest.mark.parametrize("buffers", ["copy", "reestimate"])
def test_each_average_is_what_it_would_be_alone(buffers: str) -> None:
    model = Toy()
    make = {"ramp_up": 0.5, "buffers": buffers, "num_batches": 4, "batch_size": 8}
    both = started(model, half_life=200.0, half_lives=(40.0,), **make)
    alone = {name: started(model, half_life=h, **make) for name, h in {"ema": 200.0, "ema:40": 40.0}.items()}
    for images in (16, 500, 16):
        step(model, images, both, *alone.values())
    found = {}
    for name, ema in alone.items():
        with ema.swapped(model):
            wanted = {key: value.clone() for key, value in model.state_dict().items()}
        with both.swapped(model, name):
            found[name] = {key: value.clone() for key, value in model.state_dict().items()}
        assert all(torch.equal(value, found[name][key]) for key, value in wanted.items())
    assert any(not torch.equal(value, found["ema"][key]) for key, value in found["ema:40"].items())


def test_saved_loaded_and_resumed_bit_for_bit(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]
) -> None:
    def run(ema: EMA, **arguments: Any) -> dict[str, Any]:
        model = gan(n_critic=2)
        save = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=5, save_top_k=-1)
        trainer(callbacks=[save, ema], max_steps=8).fit(model, datamodule=digits(), **arguments)
        for name in ("ema", "ema:20", "ema:600"):
            with ema.swapped(model, name):
                pass
        return ema.state_dict()

    make = {"half_life": 60.0, "half_lives": (20.0, 600.0), "ramp_up": None}
    whole = run(EMA(**make))
    path = tmp_path / "step=5.ckpt"
    checkpoint = read_checkpoint(path)
    weight = "generator.layers.0.weight"
    found = [load(path, weights=name).state_dict()[weight] for name in ("ema", "ema:20", "ema:6e2", "raw")]
    assert all(not torch.equal(a, b) for i, a in enumerate(found) for b in found[:i])
    assert torch.equal(found[1], chosen_weights(checkpoint, "ema:20")[1][weight])
    assert torch.equal(load(path, weights="ema:60").state_dict()[weight], found[0])
    assert chosen_weights(checkpoint, "ema:60")[0] == "ema" and chosen_weights(checkpoint, "raw") == ("raw", {})

    resumed = run(EMA(**make), ckpt_path=path)
    assert resumed["images_seen"] == whole["images_seen"] == 8 * 16
    for name, average in {"ema": whole["average"], **whole["others"]}.items():
        again = {"ema": resumed["average"], **resumed["others"]}[name]
        assert all(torch.equal(value, again[key]) for key, value in average.items())


def test_checkpoints_of_one_half_life_and_of_several_suit_each_other() -> None:
    model = Toy()
    several, one = (started(model, half_life=100.0, half_lives=others, ramp_up=None) for others in ((30.0,), ()))
    for _ in range(3):
        step(model, 20, several, one)
    older = {name: one.state_dict()[name] for name in ("average", "images_seen")}  # as written before there were more
    ema = EMA(100.0, ramp_up=None)
    ema.load_state_dict(several.state_dict())
    assert torch.equal(ema.state_dict()["average"]["network.0.weight"], older["average"]["network.0.weight"])
    ema = EMA(100.0, ramp_up=None, half_lives=(30.0,))
    ema.setup(None, model, "fit")  # type: ignore[arg-type]
    ema.load_state_dict(older)
    ema.on_train_start(None, model)  # type: ignore[arg-type]
    first = older["average"]["network.0.weight"].clone()
    with ema.swapped(model, "ema:30"):  # there is none in the file: it starts from the first
        assert torch.equal(model.network[0].weight, first)
    step(model, 20, ema)
    state = ema.state_dict()
    wanted = torch.lerp(first, model.network[0].weight.detach(), 1 - 2 ** (-20 / 30))
    torch.testing.assert_close(state["others"]["ema:30"]["network.0.weight"], wanted)
    assert not torch.equal(state["average"]["network.0.weight"], state["others"]["ema:30"]["network.0.weight"])
    checkpoint = {"path": "old.ckpt", "callbacks": {"EMA": older}}
    assert chosen_weights(checkpoint)[0] == "ema"
    with pytest.raises(UserError, match="has no weights 'ema:30'; it has raw, ema"):
        chosen_weights(checkpoint, "ema:30")


def test_names() -> None:
    assert [average_name(h) for h in (5000, 1e6, 0.5, 1234567)] == ["ema:5000", "ema:1000000", "ema:0.5", "ema:1234567"]
    assert check_weights("ema:5e3") == "ema:5000" and check_weights("raw") == "raw"
    for name in ("em", "ema:", "ema:x", "ema:-5", "ema:inf", "ema:nan", "ema5"):
        with pytest.raises(UserError, match="must be one of ema, raw, ema:HALF_LIFE"):
            check_weights(name)
    assert chosen_weights({"path": "x", "callbacks": {}}) == ("raw", {})


@pytest.mark.parametrize(
    "arguments",
    [{"half_lives": [10_000]}, {"half_lives": [5, 5.0]}, {"half_lives": [0]}, {"half_life": 0, "half_lives": [5]}],
)
def test_half_lives_that_make_no_sense(arguments: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="half_lives"):
        EMA(**arguments)


def test_an_average_that_is_not_kept_is_named() -> None:
    with pytest.raises(UserError, match="'ema:7', and the EMA keeps raw, ema, ema:5"):
        EMA(half_lives=[5]).chosen("ema:7")
    with pytest.raises(UserError, match="the EMA keeps raw:"):
        EMA(half_life=0).chosen("ema:7")
    assert EMA(half_life=0).chosen("ema") == "raw" and EMA(half_life=50).chosen("ema:50") == "ema"


def test_averages_are_taken_up_by_their_half_lives_whatever_their_order() -> None:
    model = Toy()
    ema = started(model, half_life=100.0, half_lives=[30.0], ramp_up=None)
    for _ in range(3):
        step(model, 20, ema)
    state = ema.state_dict()
    turned = EMA(30.0, ramp_up=None, half_lives=[100.0])
    turned.load_state_dict(state)
    now = turned.state_dict()
    name = "network.0.weight"
    assert torch.equal(now["average"][name], state["others"]["ema:30"][name])
    assert torch.equal(now["others"]["ema:100"][name], state["average"][name])
    other = EMA(50.0, ramp_up=None)  # of a half-life that was not kept: it goes on from the first
    other.load_state_dict(state)
    assert torch.equal(other.state_dict()["average"][name], state["average"][name])
