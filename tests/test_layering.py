"""Imports point one way, and Lightning stays where it belongs."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE, MAPPED = ROOT / "lit_gen", ("datamodules", "callbacks")
BASE = {"contracts", "errors"}
ALLOWED = {
    "contracts": {"contracts"},
    "errors": set(),
    "functional": BASE,
    "nn": BASE | {"functional", "nn"},
    "metrics": BASE | {"functional", "metrics"},
    "training": BASE | {"functional", "training"},
    "models": BASE | {"functional", "nn", "training"},
    "datamodules": BASE | {"functional", "datamodules"},
    "callbacks": BASE | {"functional", "metrics", "training", "callbacks"},
}
LIGHTNING = {"models", "training", "callbacks", "datamodules"}
ANYTHING = {"__init__", "__main__", "cli", "commands"}


def _layer(path: Path) -> str:
    parts = path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else ROOT).parts
    return parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


FILES = [file for folder in (PACKAGE, *(ROOT / name for name in MAPPED)) for file in sorted(folder.rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    layer = _layer(path)
    assert layer in ALLOWED or layer in ANYTHING, f"{layer} has no place in the order of layers yet"
    if layer in ANYTHING:
        return
    imports = _imports(path)
    own = {name.split(".")[1] for name in imports if name.startswith("lit_gen.")}
    # A package's __init__ and, within models/, nothing else may gather its own modules: models never import each other.
    allowed = ALLOWED[layer] | ({layer} if path.name == "__init__.py" or layer == "functional" else set())
    assert own <= allowed, f"{path} imports {sorted(own - allowed)}"
    lightning = any(name.split(".")[0] in {"pytorch_lightning", "lightning"} for name in imports)
    assert not lightning or layer in LIGHTNING, f"{path} imports Lightning"


def test_the_files_are_found() -> None:
    assert {_layer(path) for path in FILES} >= set(ALLOWED)
