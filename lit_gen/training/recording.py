"""Constructor arguments as plain data, so that a checkpoint can rebuild what it belongs to without pickled code."""

__all__ = ["UNRECORDED", "recorded", "recorded_arguments"]

import functools
import inspect
from collections.abc import Mapping
from types import FunctionType
from typing import Any

import torch

UNRECORDED = "unrecorded"
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def recorded(value: Any) -> Any:
    """Describes a constructor argument by primitives, lists and dicts.

    A class becomes ``{"class_path": …}``, a `functools.partial` of one gets ``"init_args"`` too, a function becomes its
    import path, and an object whose attributes are named like its constructor's arguments (a loss, say) its class and
    those. Anything else (a lambda, a module with parameters) becomes ``{"unrecorded": repr}``: the model trains and
    saves, and loading asks for that argument.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Size | list | tuple):
        return [recorded(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): recorded(item) for key, item in value.items()}
    if isinstance(value, functools.partial):
        init_args = recorded(value.keywords)
        path = _import_path(value.func)
        return {"class_path": path, "init_args": init_args} if path and not value.args else {UNRECORDED: repr(value)}
    if isinstance(value, type):
        path = _import_path(value)
        return {"class_path": path} if path else {UNRECORDED: repr(value)}
    if isinstance(value, FunctionType):
        return _import_path(value) or {UNRECORDED: repr(value)}
    path = _import_path(type(value))
    names = [name for name, parameter in _parameters(type(value).__init__).items() if parameter.kind not in _VARIADIC]
    trained = isinstance(value, torch.nn.Module) and next(value.parameters(), None) is not None
    if path and not trained and all(hasattr(value, name) for name in names):
        return {"class_path": path, "init_args": {name: recorded(getattr(value, name)) for name in names}}
    return {UNRECORDED: repr(value)}


def recorded_arguments(function: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Describes the arguments a constructor was called with, leaving out those at their defaults.

    Arguments:
        function: The constructor.
        arguments: Its arguments by name.
    """
    described: dict[str, Any] = {}
    for name, parameter in _parameters(function).items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            described |= {key: recorded(value) for key, value in arguments.get(name, {}).items()}
        elif name in arguments and arguments[name] is not parameter.default:
            described[name] = recorded(arguments[name])
    return described


def _parameters(constructor: Any) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(constructor).parameters
    return {name: parameter for name, parameter in parameters.items() if name != "self"}


def _import_path(thing: Any) -> str | None:
    name = getattr(thing, "__qualname__", "<")
    return None if "<" in name else f"{thing.__module__}.{name}"
