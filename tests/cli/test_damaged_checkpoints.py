"""Checkpoints that are damaged, or of something else: every command refuses them by name."""

from pathlib import Path
from typing import Any

import pytest
import torch

CKPT = ("--ckpt_path", "found/version_0/checkpoints/last.ckpt")
FIT = ("fit", "--config", "tiny.yaml", "--trainer.max_steps", 14, *CKPT)
OTHERS = (("validate",), ("test",), ("predict", "--output", "out"), ("sample", "--output", "x.png"), ("evaluate",))
COMMANDS = (FIT, *((*words, *CKPT) for words in OTHERS))


class Code:
    """Pickles into a call; must never run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("import pathlib; pathlib.Path('planted').touch()",))


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "truncated":
        path.write_bytes(whole[: len(whole) * 2 // 3])
    elif how == "a flipped bit":
        start = whole.index(
            torch.load(path, weights_only=True)["state_dict"]["generator.layers.0.weight"].numpy().tobytes()
        )
        path.write_bytes(whole[:start] + bytes([whole[start] ^ 1]) + whole[start + 1 :])
    elif how == "code":
        torch.save({**torch.load(path, weights_only=True), "callbacks": Code()}, path)
    elif how == "text":
        path.write_text("not a checkpoint")


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("how", ["truncated", "a flipped bit", "code", "text"])
def test_what_is_no_whole_checkpoint_is_refused_by_name(lit_gen: Any, found: Path, words: Any, how: str) -> None:
    damage(found, how)
    said = lit_gen(*words)
    assert said.status == 2
    assert f"'{found}' cannot be read as a checkpoint" in said.err
    assert len(said.err.splitlines()) == 1
    assert not Path("planted").exists()
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("loops", None),
        ("loops", {}),
        ("optimizer_states", None),
        ("optimizer_states", [{"state": {}, "param_groups": []}] * 2),
        ("lit_gen_training", 3),
        ("global_step", None),
        ("pytorch-lightning_version", 3),
        ("hyper_parameters", "text"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_by_name(lit_gen: Any, found: Path, key: str, value: Any) -> None:
    torch.save({**torch.load(found, weights_only=True), key: value}, found)
    said = lit_gen(*FIT)
    assert said.status == 2
    assert f"lit-gen: '{found}' " in said.err
    assert not Path("runs").exists()
