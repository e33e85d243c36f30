"""Checkpoints from elsewhere: none of them runs what it brings along."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

CKPT = ("--ckpt_path", "found/version_0/checkpoints/last.ckpt")
COMMANDS = {
    "fit": ["fit", "--config", "tiny.yaml", "--trainer.max_steps", 14, *CKPT],
    "validate": ["validate", *CKPT],
    "test": ["test", *CKPT],
    "predict": ["predict", *CKPT, "--output", "out"],
    "sample": ["sample", *CKPT, "--output", "x.png"],
    "evaluate": ["evaluate", *CKPT],
}
every_command = pytest.mark.parametrize("command", COMMANDS)

PLANTED = """
import pathlib
from torch import nn
from pytorch_lightning import Callback

pathlib.Path("planted").touch()


class Network(nn.Module):
    pass


class Hook(Callback):
    pass


def optimizer(parameters):
    pass
"""


def plant(name: str) -> None:
    path = Path(*name.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PLANTED)


def edit(path: Path, values: Any, section: str = "hyper_parameters") -> None:
    checkpoint = torch.load(path, weights_only=True)
    if "trust" in values:  # of another model, which has no use for the rest
        checkpoint[section] = {}
    checkpoint[section].update(values)
    torch.save(checkpoint, path)


ATTACKS: dict[str, Any] = {
    "model": {"_class_path": "evil.Network"},
    "class": {"generator": {"class_path": "evil.Network"}},
    "function": {"generator_optimizer": "evil.optimizer"},
    "spaces": {"generator_optimizer": " evil.optimizer "},
    "dotted key": {"generator.class_path": "evil.Network"},
    "JSON in text": {"generator": '{"class_path": "evil.Network"}'},
    "escaped JSON": {"generator": '{"class_path": "\\u0065vil.Network"}'},
    "YAML in text": {"generator": "class_path: evil.Network"},
    "a file of YAML": {"generator": "found/version_0/network"},
    "in a list": {"options": [[{"class_path": "evil.Network"}]]},
    "a folder without __init__.py": {"generator_optimizer": "found.version_0.evil.optimizer"},
    "another script": {"generator_optimizer": "évil.optimizer"},
    "of torch, but elsewhere": {"generator_optimizer": "torch.hub.load"},
    "imported by ours": {"generator_optimizer": "lit_gen.training.loading.ArgumentParser"},
    "built in": {"generator_optimizer": "sys.exit"},
    "no path": {"generator": {"class_path": 3}},
    "its own trust": {"_class_path": "lit_gen.training.loading.load", "path": "inner.ckpt", "trust": ["evil"]},
    "its own trust by a model over another": {
        "_class_path": "lit_gen.models.LatentDiffusion",
        "network": {"class_path": "lit_gen.nn.dense_denoiser.DenseDenoiser"},
        "image_shape": [1, 8, 8],
        "latents_of": "inner.ckpt",
        "trust": ["evil"],
    },
    "its own trust deeper": {"options": [{"init_args.trust": ["evil"]}]},
    "its own trust added": {"trust+": "evil"},
}
TRUSTED = [name for name, attack in ATTACKS.items() if "inner.ckpt" in attack.values()]


@pytest.mark.parametrize("command", ["test", "sample"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_checkpoint_names_classes_of_its_own(lit_gen: Any, found: Path, attack: str, command: str) -> None:
    for module in ("evil", "évil", "found.version_0.evil"):
        plant(module)
    Path("found/version_0/network").write_text("class_path: evil.Network")
    shutil.copy(found, "inner.ckpt")
    edit(Path("inner.ckpt"), {"_class_path": "evil.Network"})
    edit(found, ATTACKS[attack])
    said = lit_gen(*COMMANDS[command])
    assert said.status == 2
    assert said.err.startswith(f"lit-gen: '{found}' ")
    assert len(said.err.splitlines()) == 1
    assert not Path("planted").exists()


@every_command
def test_no_command_imports_what_a_checkpoint_names(lit_gen: Any, found: Path, command: str) -> None:
    """To fit, a checkpoint is weights; it is the configuration that names classes."""
    plant("evil")
    edit(found, ATTACKS["class"])
    edit(found, {"image_size": '{"class_path": "evil.Network"}'}, "datamodule_hyper_parameters")
    said = lit_gen(*COMMANDS[command])
    assert said.status == (0 if command == "fit" else 2)
    assert not Path("planted").exists()


@pytest.mark.parametrize("command", ["test", "predict", "evaluate"])
def test_the_data_of_a_checkpoint_are_not_trusted_more(lit_gen: Any, found: Path, command: str) -> None:
    plant("evil")
    edit(found, {"_class_path": "evil.Network"}, "datamodule_hyper_parameters")
    said = lit_gen(*COMMANDS[command])
    assert said.status == 2
    assert "--trust evil" in said.err
    assert not Path("planted").exists()


def test_a_configuration_that_came_with_a_checkpoint_is_not_trusted_more(lit_gen: Any, found: Path) -> None:
    plant("evil_hook")
    path = Path("found/version_0/config.yaml")
    config = yaml.safe_load(path.read_text())
    config["trainer"]["callbacks"] = [{"class_path": "evil_hook.Hook"}]
    config["evaluation"]["extractor"] = {"class_path": "evil_hook.Network"}
    path.write_text(yaml.safe_dump(config))
    said = lit_gen("fit", *CKPT, "--trainer.max_steps", 14)
    assert said.status == 2
    assert f"'{path}' names evil_hook." in said.err
    assert "--trust evil_hook" in said.err
    said = lit_gen(*COMMANDS["test"])
    assert not Path("planted").exists()
    assert said.status == 0
    (note,) = [line for line in said.err.splitlines() if "not used" in line]
    assert note.startswith("lit-gen: the run's own settings of evaluation are not used: ")
    assert "--trust evil_hook" in note


@pytest.mark.parametrize("section", ["ema", "stacked"])
def test_a_damaged_section_of_a_run_leaves_the_others(lit_gen: Any, found: Path, section: str) -> None:
    path = Path("found/version_0/config.yaml")
    config = yaml.safe_load(path.read_text())
    config[section] = ["damaged"]
    path.write_text(yaml.safe_dump(config))
    said = lit_gen(*COMMANDS["test"])
    assert said.status == 0
    assert f"the run's own settings of {section} are not used: '{path}' holds a list there" in said.err
    assert " 40 images," in said.out
    path.write_text("{")
    said = lit_gen(*COMMANDS["test"], "--evaluation.num_samples", 40)
    assert said.status == 0
    assert f"are not used: '{path}' cannot be read" in said.err


class Program(torch.nn.Module):
    """What a TorchScript file holds; as an extractor it gives the pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


@pytest.mark.parametrize("by", ["class", "hash"])
@pytest.mark.parametrize("command", ["test", "fit"])
def test_a_configuration_that_came_with_a_checkpoint_runs_no_program(
    lit_gen: Any, found: Path, command: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TorchScript that it names, by TorchModule or with a hash of its own."""
    torch.jit.script(Program()).save("program.pt")
    opened = []
    load = torch.jit.load
    monkeypatch.setattr(torch.jit, "load", lambda *given, **named: opened.append(given) or load(*given, **named))
    path = Path("found/version_0/config.yaml")
    config = yaml.safe_load(path.read_text())
    name, more = {"class": ("TorchModule", {}), "hash": ("InceptionV3", {"weights_sha256": sha256("program.pt")})}[by]
    config["evaluation"]["extractor"] = {
        "class_path": f"lit_gen.metrics.extractors.{name}",
        "init_args": {"weights_path": "program.pt", **more},
    }
    path.write_text(yaml.safe_dump(config))
    words = COMMANDS["test"] if command == "test" else ["fit", *CKPT, "--trainer.max_steps", 14]
    said = lit_gen(*words)
    assert not opened
    if command == "fit":
        assert said.status == 2
        assert f"'{path}' takes an extractor from program.pt, which may be a program" in said.err
        assert "--trust program.pt" in said.err
    lit_gen(*words, "--trust", "program.pt")
    assert opened, "or nothing would have been shown"


def sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_a_run_of_ones_own_needs_no_trust(lit_gen: Any, found: Path) -> None:
    said = lit_gen("fit", *CKPT, "--trainer.max_steps", 14)
    assert said.status == 0, said.err
    assert "from step 12" in said.out


@pytest.mark.parametrize("attack", TRUSTED)
def test_what_a_checkpoint_trusts_is_trusted_if_the_user_says_so(lit_gen: Any, found: Path, attack: str) -> None:
    friend = "friend_of_" + ("model" if "model" in attack else "loader")
    plant(friend)
    shutil.copy(found, "inner.ckpt")
    edit(Path("inner.ckpt"), {"_class_path": f"{friend}.Network"})
    edit(found, {**ATTACKS[attack], "trust": [friend]})
    said = lit_gen(*COMMANDS["sample"])
    assert f"'{found}' trusts {friend}: if you do, say so by --trust {friend}" in said.err
    assert not Path("planted").exists()
    said = lit_gen(*COMMANDS["sample"], "--trust", friend)
    assert Path("planted").exists(), said.err


def test_a_class_that_is_trusted_is_built(lit_gen: Any, found: Path) -> None:
    plant("friend")
    edit(found, {"generator": {"class_path": "friend.Network"}})
    lit_gen(*COMMANDS["sample"], "--trust", "friend")
    assert Path("planted").exists(), "or the tests above would see nothing"


@pytest.mark.parametrize("at", ["class_path", "init_args", "dict_kwargs"])
def test_a_model_below_another_is_not_trusted_more(lit_gen: Any, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`fit` builds it from the checkpoint that it goes on with."""
    from lit_gen.commands.recorded import held_model
    from lit_gen.errors import UserError

    held = {"class_path": "lit_gen.models.VAE", "init_args": {"latent_dim": 2}}
    monkeypatch.syspath_prepend(Path.cwd())
    plant(f"evil_below_{at}")
    evil = {"class_path": f"evil_below_{at}.Network"}
    worse = {**held, at: evil["class_path"] if at == "class_path" else {"encoder": evil}}
    own = {"_class_path": "lit_gen.models.LatentDiffusion", "autoencoder": worse}
    arguments: dict[str, Any] = {"latents_of": "x.ckpt", "autoencoder": None, "trust": []}
    with pytest.raises(UserError, match=f"--trust evil_below_{at}"):
        held_model({"path": "x", "hyper_parameters": own}, arguments)
    assert not Path("planted").exists()
    friendly = {**arguments, "trust": [f"evil_below_{at}"]}  # what the user's configuration says of it
    for given, trust in ((friendly, []), (arguments, [f"evil_below_{at}"])):
        options = held_model({"path": "x", "hyper_parameters": own}, given, trust)
        assert options[0].startswith("--model.autoencoder=") and options[1:] == ["--model.latents_of=null"]
    for other in ({"class_path": "torch.nn.Linear"}, {"unrecorded": "x"}, None):
        recorded = {"path": "x", "hyper_parameters": {**own, "autoencoder": other}}
        assert held_model(recorded, {"autoencoder": None}) == []


def test_a_configuration_that_came_with_a_checkpoint_trusts_nobody(lit_gen: Any, found: Path) -> None:
    path = Path("found/version_0/config.yaml")
    config = yaml.safe_load(path.read_text())
    config["model"]["init_args"]["trust"] = ["stranger"]
    path.write_text(yaml.safe_dump(config))
    said = lit_gen("fit", *CKPT, "--trainer.max_steps", 14)
    assert said.status == 2 and f"'{path}' trusts stranger: if you do, say so by --trust stranger" in said.err
