"""A folder with a tiny run's configuration, and a process that forks such runs."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import tiny_run
from forking import Forks


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "interruption-cache"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """The present folder, the test's own, which holds ``tiny.yaml``."""
    monkeypatch.setenv("LIT_GEN_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    tiny_run.configure()
    return tmp_path


@pytest.fixture(scope="session")
def forks(cache: Path) -> Iterator[Forks]:
    forks = Forks({"LIT_GEN_CACHE": str(cache)})
    yield forks
    forks.close()
