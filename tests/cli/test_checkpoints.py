import shutil
from pathlib import Path

import pytest

from lit_gen.commands.runs import MissingCheckpoint, RunFolder, find_checkpoint, run_folder_of
from lit_gen.errors import UserError


@pytest.fixture
def runs(tmp_path):
    """Three runs of two names; of `a`, version 10 is the newest and has no best."""
    for name in ("a/version_2/checkpoints/last", "a/version_2/checkpoints/best", "a/version_10/checkpoints/last"):
        path = tmp_path / f"{name}.ckpt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    later = tmp_path / "b/version_0/checkpoints/last.ckpt"
    later.parent.mkdir(parents=True)
    later.touch()
    return tmp_path


def test_last_and_best_are_of_the_newest_run_that_has_them(runs):
    assert find_checkpoint("last", runs, "a") == runs / "a/version_10/checkpoints/last.ckpt"
    assert find_checkpoint("best", runs, "a") == runs / "a/version_2/checkpoints/best.ckpt"
    assert find_checkpoint("last", runs) == runs / "b/version_0/checkpoints/last.ckpt"


def test_folders_and_files(runs):
    last = runs / "a/version_10/checkpoints/last.ckpt"
    for wanted in (last, last.parent, last.parent.parent, runs / "a"):
        assert find_checkpoint(str(wanted), runs) == last
    assert run_folder_of(last) == runs / "a/version_10"
    assert run_folder_of(runs / "x.ckpt") is None


def test_what_is_missing_is_named(runs):
    with pytest.raises(MissingCheckpoint, match=r"b/version_\*/checkpoints/best.ckpt; there is a last.ckpt"):
        find_checkpoint("best", runs, "b")
    with pytest.raises(UserError, match=r"did you mean '.*last.ckpt'"):
        find_checkpoint(str(runs / "b/version_0/checkpoints/lst.ckpt"), runs)
    with pytest.raises(UserError, match="no run's"):
        find_checkpoint(str(runs / "b/version_0/checkpoints/.."), runs / "none") and find_checkpoint(str(runs), runs)


def test_versions_are_never_shared(tmp_path):
    folders = [RunFolder.claim(tmp_path / "runs", "x") for _ in range(3)]
    assert [folder.path.name for folder in folders] == ["version_0", "version_1", "version_2"]
    shutil.rmtree(folders[0].path)
    assert RunFolder.claim(tmp_path / "runs", "x").path.name == "version_3"
    other = RunFolder.claim(tmp_path / "more", "y")
    other.discard()
    assert not (tmp_path / "more").exists()
    folders[1].discard()
    assert (tmp_path / "runs/x/version_2").is_dir()


@pytest.mark.parametrize("command", ["validate", "test"])
def test_scores_of_a_checkpoint(lit_gen, trained, command):
    """Model, data, and the way that the run was scored, all come with the checkpoint."""
    said = lit_gen(command, "--ckpt_path", trained, "--trainer.accelerator", "cpu")
    assert (said.status, said.err) == (0, "")
    assert "fid[classifier]" in said.out
    assert "40 images, ema weights" in said.out
    assert f"{command.replace('idate', '')} split" in said.out
    assert not Path("runs").exists()


def test_predictions_are_written_once(lit_gen, trained):
    arguments = ("predict", "--ckpt_path", trained, "--output", "out", "--trainer.limit_predict_batches", 2)
    assert lit_gen(*arguments).status == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [f"{i:06d}.png" for i in range(32)]
    again = lit_gen(*arguments)
    assert again.status == 2
    assert "not empty" in again.err
    Path("out/mine.txt").touch()
    assert lit_gen(*arguments, "--overwrite").status == 0
    assert Path("out/mine.txt").exists()
    assert sorted(path.name for path in Path().iterdir()) == ["out", "tiny.yaml"]


def test_predictions_go_into_the_folder_that_one_stands_in(lit_gen, trained, monkeypatch):
    """Which has no name of its own, as ".", for a temporary folder beside it."""
    Path("here").mkdir()
    monkeypatch.chdir("here")
    limit = ("--trainer.limit_predict_batches", 1)
    said = lit_gen("predict", "--ckpt_path", trained, "--output", ".", *limit)
    assert said.status == 0, said.err
    assert all(path.suffix == ".png" for path in Path().iterdir()) and any(Path().iterdir())
