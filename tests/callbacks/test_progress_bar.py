"""What is shown: a bar in a terminal, few plain lines elsewhere."""

from collections.abc import Callable
from typing import Any

import pytest
from pytorch_lightning import Trainer

from lit_gen.callbacks import Evaluation, ProgressBar, progress_bar
from lit_gen.errors import UserError


def fit(gan: Any, digits: Any, trainer: Any, pixels: Any, **arguments: Any) -> ProgressBar:
    bar = ProgressBar()
    callbacks = [bar, Evaluation(["fid", "kid"], pixels(), 50)]
    run: Trainer = trainer(callbacks=callbacks, enable_progress_bar=True, max_steps=45, **arguments)
    run.fit(gan(), datamodule=digits())
    return bar


def test_plain_lines(gan: Any, digits: Any, trainer: Any, pixels: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fit(gan, digits, trainer, pixels, val_check_interval=20)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert [line.split("  ")[0] for line in lines] == ["step 2/45", "step 20/45", "step 40/45", "step 45/45"]
    assert "discriminator " in lines[0] and "generator " in lines[0] and "fid" not in lines[0]
    assert "fid[pixels] " in lines[1] and "kid" not in lines[1]


def test_plain_lines_come_with_time(
    gan: Any, digits: Any, trainer: Any, pixels: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(progress_bar, "_PLAIN_SECONDS", 0.0)
    fit(gan, digits, trainer, pixels)
    assert capsys.readouterr().out.count("step ") == 22 + 1


def test_a_bar_in_a_terminal(
    gan: Any, digits: Any, trainer: Callable[..., Trainer], pixels: Any, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    updates = []
    get = ProgressBar.get_metrics
    monkeypatch.setattr(ProgressBar, "get_metrics", lambda *them: updates.append(get(*them)) or updates[-1])
    fit(gan, digits, trainer, pixels, val_check_interval=20)
    assert 0 < len(updates) <= 12 and {"discriminator", "generator", "fid[pixels]"} == set(updates[-1])
    shown = capsys.readouterr().out
    assert "fid[pixels]:" in shown and "45/45" in shown and "step 20" not in shown


def test_bad_arguments() -> None:
    with pytest.raises(UserError, match="every_n_steps is 1"):
        ProgressBar(every_n_steps=1)
