"""The configurations that come with the package, found by name from any folder."""

__all__ = ["resolve_config", "shipped_names"]

from pathlib import Path

import lit_gen.configs
from lit_gen.errors import UserError, nearest


def _shipped() -> dict[str, Path]:
    root = Path(lit_gen.configs.__path__[0])
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in sorted(root.rglob("*.yaml"))}


def shipped_names() -> list[str]:
    """Returns the shipped configurations as ``family/method_data``."""
    return list(_shipped())


def resolve_config(name: str) -> Path:
    """Returns the file that a ``--config`` means.

    A file that exists goes first; its ``.yaml`` may be left out. Otherwise ``gan/dcgan_digits.yaml``,
    ``configs/gan/dcgan_digits.yaml`` (which exists in a checkout only), ``gan/dcgan_digits`` and ``dcgan_digits`` are
    the shipped one.

    Raises:
        UserError: If there is neither.
    """
    path = Path(name).expanduser()
    for file in (path, Path(f"{path}.yaml")):
        if file.is_file():
            return file
    if path.is_dir():
        raise UserError(f"--config {name} is a folder; name a YAML file in it")
    shipped = _shipped()
    wanted = name.removeprefix("configs/").removesuffix(".yaml")
    for known, file in shipped.items():
        if wanted in (known, known.rpartition("/")[2]):
            return file
    beside = [str(file.with_suffix("")) for file in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
    hint = nearest(wanted, [*beside, *shipped, *(known.rpartition("/")[2] for known in shipped)])
    raise UserError(f"there is no configuration '{name}', neither as a file nor among the shipped{hint}")
