"""The cache returns what was put in, or nothing."""

import os
from pathlib import Path

import pytest
import torch

import lit_gen
from lit_gen.metrics.cache import Cache, cache_folder, code_files, content_hash

KEY = {"data": "abc", "count": 3}


def test_hit_and_miss(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new" / "folder")
    assert cache.get("kind", KEY) is None
    cache.put("kind", KEY, {"tensor": torch.arange(5), "number": 3})
    entry = cache.get("kind", dict(reversed(KEY.items())))
    assert entry is not None and torch.equal(entry["tensor"], torch.arange(5)) and entry["number"] == 3
    assert cache.get("other", KEY) is None
    assert cache.get("kind", {**KEY, "count": 4}) is None
    assert [file.name for file in (tmp_path / "new" / "folder" / "kind").iterdir()] == [f"{content_hash(KEY)}.pt"]


def test_damage_counts_as_absence(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("kind", KEY, {"tensor": torch.arange(1000.0)})
    path = cache.path("kind", KEY)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1  # torch.load alone would not notice
    for damaged in (b"", whole[:20], whole[:-1], bytes(flipped), b"nonsense" * 20):
        path.write_bytes(damaged)
        assert cache.get("kind", KEY) is None
    cache.put("kind", KEY, {"tensor": torch.arange(1000.0)})
    assert cache.get("kind", KEY) is not None


def test_no_code_is_run(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("kind", KEY, {"path": Path("unsafe")})
    assert cache.get("kind", KEY) is None


def test_unwritable_folder_costs_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file is no folder, not even for root")
    cache = Cache(tmp_path / "file" / "cache")
    with pytest.warns(UserWarning, match="cannot be written"):
        cache.put("kind", KEY, {"number": 1})
    assert cache.get("kind", KEY) is None


def test_failure_while_writing_leaves_the_old_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)
    cache.put("kind", KEY, {"number": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="No space left"):
        cache.put("kind", KEY, {"number": 2})
    assert cache.get("kind", KEY) == {"number": 1}
    assert len(list((tmp_path / "kind").iterdir())) == 1


def test_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_GEN_CACHE", "/somewhere")
    assert cache_folder() == Cache().folder == Path("/somewhere")
    monkeypatch.delenv("LIT_GEN_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "lit_gen"


def test_the_code_that_statistics_depend_on_is_that_which_features_go_through() -> None:
    files = code_files(Path(lit_gen.__file__).parent)
    through = ("quantize", "resize", "frechet")
    assert {"metrics/reference.py", *(f"functional/{name}.py" for name in through)} <= set(files)
    assert "functional/gaussian_kl.py" not in files, "a change of what metrics do not use would cost their statistics"


def test_code_is_followed_through_imports(tmp_path: Path) -> None:
    for name, text in {
        "metrics/inner/a.py": "def f():\n    from lit_gen.functional.b import g\n",
        "functional/b.py": "from lit_gen.functional.c import h, i\n",
        "functional/c.py": "from lit_gen.functional.b import g\n",
        "functional/d.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert set(code_files(tmp_path)) == {"metrics/inner/a.py", "functional/b.py", "functional/c.py"}
