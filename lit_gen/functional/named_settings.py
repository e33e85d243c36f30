"""How values that configurations name are shown."""

__all__ = ["named_settings"]

import inspect
from typing import Any


def named_settings(value: Any) -> str:
    """Returns a value's class, and those arguments that it keeps under their own names: ``DDIM(steps=50, eta=0.0)``."""
    kept = [name for name in inspect.signature(type(value)).parameters if hasattr(value, name)]
    return f"{type(value).__name__}({', '.join(f'{name}={getattr(value, name)!r}' for name in kept)})"
