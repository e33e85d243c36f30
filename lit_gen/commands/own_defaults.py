"""Classes that a configuration names in the place of a default one: what it leaves open is their own default.

jsonargparse keeps the default class's arguments for the class that is named instead, wherever their names agree: a
generator would silently be as wide as another one is by default.
"""

__all__ = ["own_defaults"]

from typing import Any, TypeGuard

from jsonargparse import ArgumentParser, Namespace

from lit_gen.commands.classes import resolve_class


def own_defaults(config: Namespace, given: Namespace) -> None:
    """Gives classes below a class their own defaults, in place, for what was not given.

    Arguments:
        config: A class and its arguments, parsed with defaults.
        given: The same, parsed without: what the configuration or the command line say.
    """
    if not ("init_args" in config and "init_args" in given):
        return
    defaults = _defaults(config.class_path)
    for name, named in vars(given.init_args).items():
        value, default = config.init_args.get(name), defaults.get(name)
        if not (_is_class(named) and _is_class(value)):
            continue
        if _is_class(default) and default.class_path != value.class_path and "init_args" in value:
            said = vars(named.init_args) if "init_args" in named else {}
            for argument, own in vars(_defaults(value.class_path)).items():
                if argument not in said and argument in value.init_args:
                    value.init_args[argument] = own
        own_defaults(value, named)


def _defaults(class_path: str) -> Namespace:
    owner = resolve_class(class_path)
    if not isinstance(owner, type):  # a function that makes one: its arguments are as they were parsed
        return Namespace()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(owner, fail_untyped=False)
    return parser.get_defaults()


def _is_class(value: Any) -> TypeGuard[Namespace]:
    return isinstance(value, Namespace) and "class_path" in value
