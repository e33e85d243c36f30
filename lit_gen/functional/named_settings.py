"""How values that configurations name are shown."""

__all__ = ["named_settings"]

import inspect
from typing import Any


def named_settings(value: Any) -> str:
    """Returns a value's class and arguments, such as ``DDIM(steps=50, eta=0.0)``; it keeps each under its own name."""
    names = inspect.signature(type(value)).parameters
    return f"{type(value).__name__}({', '.join(f'{name}={getattr(value, name)!r}' for name in names)})"
