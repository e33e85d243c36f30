"""Every test that docs/reliability.md names is there, and every test of its subject is named."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs/reliability.md").read_text("utf-8"))


def defined(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part.rpartition("/")[2])
def test_a_promise_is_tested(file: str, name: str) -> None:
    assert (ROOT / file).is_file(), "no such file"
    assert not name or name in defined(file), f"{file} has no such test"


def test_all_that_is_shown_of_interruptions_is_promised() -> None:
    files = [file.relative_to(ROOT).as_posix() for file in (ROOT / "tests/interruption").glob("test_*.py")]
    assert {(file, name) for file in files for name in defined(file)} <= set(NAMED)
