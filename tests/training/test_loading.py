"""Checkpoints: what is recorded, rebuilt, refused."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn
from torch.optim import SGD

import lit_gen
from lit_gen.errors import UserError
from lit_gen.functional.adversarial import AdversarialLoss, MinimaxLoss
from lit_gen.functional.samplers import DDIM
from lit_gen.models import GAN
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_gen.training.loading import read_checkpoint
from lit_gen.training.recording import recorded

SHAPE = (1, 9, 8)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[GAN, Path]:
    model = GAN(
        SHAPE,
        num_classes=3,
        conditional=True,
        generator=partial(DCGANGenerator, features=4),
        discriminator=partial(DCGANDiscriminator, features=4),
        loss=MinimaxLoss(0.9),
        latent_dim=5,
        generator_optimizer=partial(SGD, lr=0.1),
    )
    return model, save(model, tmp_path / "model.ckpt")


def save(model: GAN, path: Path) -> Path:
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return path


def test_a_model_built_in_python_is_rebuilt_from_its_checkpoint(saved: tuple[GAN, Path]) -> None:
    model, path = saved
    loaded = lit_gen.load(path)
    assert isinstance(loaded, GAN)
    assert not loaded.training
    assert loaded.image_shape == SHAPE
    assert loaded.num_classes == 3
    assert isinstance(loaded.loss, MinimaxLoss)
    assert loaded.loss.real_label == 0.9
    assert isinstance(loaded.players["generator"].optimizer(loaded.generator.parameters()), SGD)
    label = torch.tensor([0, 2])
    seeds = [torch.Generator().manual_seed(i) for i in (0, 1)]
    again = [torch.Generator().manual_seed(i) for i in (0, 1)]
    assert torch.equal(loaded.sample(2, label, seeds), model.eval().sample(2, label, again))
    assert loaded.generator.layers[3].weight.is_contiguous()


def test_a_model_is_sampled_in_the_memory_format_it_was_trained_in(saved: tuple[GAN, Path]) -> None:
    path = saved[1]
    options = {"channels_last": True}
    weights = [p for p in lit_gen.load(path, options=options).parameters() if p.ndim == 4]
    assert weights
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    images = [lit_gen.load(path, **given).sample(2, generator=seeded()) for given in ({}, {"options": options})]
    torch.testing.assert_close(images[0], images[1])


def seeded() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(i) for i in (0, 1)]


def test_lightning_s_own_loading_works_too(saved: tuple[GAN, Path]) -> None:
    assert GAN.load_from_checkpoint(saved[1], weights_only=True).latent_dim == 5


def test_averaged_weights_are_taken_where_there_are_any(saved: tuple[GAN, Path]) -> None:
    _, path = saved
    checkpoint = torch.load(path, weights_only=True)
    name = "generator.layers.0.weight"
    checkpoint["callbacks"] = {"EMA": {"average": {name: torch.full_like(checkpoint["state_dict"][name], 0.25)}}}
    torch.save(checkpoint, path)
    assert (lit_gen.load(path).state_dict()[name] == 0.25).all()
    assert torch.equal(lit_gen.load(path, weights="raw").state_dict()[name], checkpoint["state_dict"][name])


def test_an_argument_can_be_replaced(saved: tuple[GAN, Path]) -> None:
    assert lit_gen.load(saved[1], n_critic=4).n_critic == 4


def test_what_cannot_be_recorded_is_asked_for_by_name(tmp_path: Path) -> None:
    def factory(image_shape: tuple[int, int, int], latent_dim: int, num_classes: int | None) -> nn.Module:
        return DCGANGenerator(image_shape, latent_dim, features=2)

    path = save(GAN(SHAPE, generator=factory), tmp_path / "model.ckpt")
    with pytest.raises(UserError, match="could not record the argument 'generator'"):
        lit_gen.load(path)
    assert isinstance(lit_gen.load(path, generator=factory).generator, DCGANGenerator)


def test_recorded_values() -> None:
    adam = "torch.optim.adam.Adam"
    assert recorded((1, "a", None, True)) == [1, "a", None, True]
    assert recorded({"a": (1,)}) == {"a": [1]}
    assert recorded(torch.optim.Adam) == {"class_path": adam}
    assert recorded(partial(torch.optim.Adam, betas=(0, 1))) == {"class_path": adam, "init_args": {"betas": [0, 1]}}
    assert recorded(recorded) == "lit_gen.training.recording.recorded"
    assert set(recorded(lambda: 0)) == {"unrecorded"}
    assert set(recorded(nn.Linear(1, 1))) == {"unrecorded"}


def test_a_sampler_that_forgets_what_it_was_given_is_described_as_far_as_it_can_be() -> None:
    class Own(DDIM):
        def __init__(self, steps: int, how: str) -> None:
            super().__init__(steps)

    assert recorded(Own(3, "fast")) == {"unrecorded": "Own(steps=3)"}
    assert repr(DDIM(3)) == "DDIM(steps=3, eta=0.0, grid=UniformGrid(), clip=False)"


class Halved(MinimaxLoss):
    """A loss with a constructor of its own kind: none, but its parent's."""


class Bare(AdversarialLoss):
    """A loss without any constructor."""

    def discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return fake.mean() - real.mean()

    def generator(self, fake: torch.Tensor) -> torch.Tensor:
        return -fake.mean()


class Extended(GAN):
    """A model that hands on what it does not know."""

    def __init__(self, extra: float = 0.5, **arguments: object) -> None:
        super().__init__(**arguments)
        self.extra = extra


def test_values_without_constructors_and_models_that_hand_arguments_on_are_recorded() -> None:
    assert recorded(Bare())["init_args"] == {}
    assert recorded(Halved(0.5))["init_args"] == {"real_label": 0.5}
    model = Extended(extra=0.25, image_shape=SHAPE, latent_dim=5)
    assert model.hparams["extra"] == 0.25
    assert model.hparams["latent_dim"] == 5
    assert model.hparams["image_shape"] == list(SHAPE)
    assert "arguments" not in model.hparams


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 torn"])
def test_a_foreign_or_torn_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"foreign\.ckpt"):
        read_checkpoint(path)


def test_every_truncation_is_refused(saved: tuple[GAN, Path]) -> None:
    whole = saved[1].read_bytes()
    for length in range(0, len(whole), len(whole) // 13 + 1):
        saved[1].write_bytes(whole[:length])
        with pytest.raises(UserError, match="damaged"):
            read_checkpoint(saved[1])


def test_a_missing_file_and_another_file_of_tensors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "none.ckpt")
    torch.save({"weight": torch.ones(2)}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match="not a checkpoint that lit_gen"):
        read_checkpoint(tmp_path / "weights.pt")


class Planted:
    """Pickles into a call; must never run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("import pathlib; pathlib.Path('planted').touch()",))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "hyper_parameters": Planted()}, "evil.ckpt")
    with pytest.raises(UserError, match=r"evil\.ckpt"):
        lit_gen.load("evil.ckpt")
    assert not Path("planted").exists()


@pytest.mark.parametrize("where", ["model", "generator", "function"])
def test_classes_of_other_packages_need_the_user_s_trust(saved: tuple[GAN, Path], where: str) -> None:
    checkpoint = torch.load(saved[1], weights_only=True)
    if where == "model":
        checkpoint["hyper_parameters"]["_class_path"] = "antigravity.Fly"
    elif where == "generator":
        checkpoint["hyper_parameters"]["generator"] = {"class_path": "antigravity.Fly"}
    else:
        checkpoint["hyper_parameters"]["generator_optimizer"] = "antigravity.webbrowser.open"
    torch.save(checkpoint, saved[1])
    with pytest.raises(UserError, match="--trust antigravity"):
        lit_gen.load(saved[1])


def test_weights_that_do_not_fit_are_named(saved: tuple[GAN, Path]) -> None:
    with pytest.raises(UserError, match=r"model\.ckpt' does not fit GAN: .*size mismatch"):
        lit_gen.load(saved[1], latent_dim=6)


def test_a_renamed_argument_is_named(saved: tuple[GAN, Path]) -> None:
    checkpoint = torch.load(saved[1], weights_only=True)
    checkpoint["hyper_parameters"]["latent_size"] = 3
    torch.save(checkpoint, saved[1])
    with pytest.raises(UserError, match="latent_size"):
        lit_gen.load(saved[1])


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("old_arg", 3, "GAN has no argument 'old_arg'"),
        ("loss", {"class_path": "lit_gen.functional.adversarial.HingeLoss", "init_args": {"gone": 1}}, "HingeLoss has"),
        ("generator_optimizer", {"class_path": "torch.optim.Adam", "init_args": {"gone": 1}}, "Adam has no argument"),
        ("n_critic", "abc", "\"n_critic\": Expected a <class 'int'>. Got value: abc"),
    ],
)
def test_what_another_version_recorded_is_named_without_the_parser_s_tree(
    saved: tuple[GAN, Path], name: str, value: Any, reason: str
) -> None:
    checkpoint = torch.load(saved[1], weights_only=True)
    checkpoint["hyper_parameters"][name] = value
    torch.save(checkpoint, saved[1])
    with pytest.raises(UserError, match=r"model\.ckpt' does not fit this version's lit_gen\.models\.") as said:
        lit_gen.load(saved[1])
    message = str(said.value).replace(str(saved[1]), "")
    assert reason in message
    assert "Subtypes" not in message and len(message) < 180


def test_a_loaded_model_is_saved_as_it_was_recorded(saved: tuple[GAN, Path], tmp_path: Path) -> None:
    loaded = lit_gen.load(saved[1], n_critic=4)
    assert loaded.hparams == {**read_checkpoint(saved[1])["hyper_parameters"], "n_critic": 4}
    again = lit_gen.load(save(loaded, tmp_path / "again.ckpt"))
    assert again.n_critic == 4 and isinstance(again.loss, MinimaxLoss) and again.loss.real_label == 0.9
