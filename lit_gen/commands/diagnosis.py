"""Makes one readable line of a parser's complaint, with the nearest right name.

jsonargparse reports a wrong value as a tree: the key, every type that the value could have had, and what each of them
says. Indentation is its only structure. Of all leaves the most telling one is taken: an argument that a class does not
have, before a class that does not exist, before a value of a wrong type; among equals the deepest.
"""

__all__ = ["diagnose", "user_error"]

import importlib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser

from lit_gen.commands.classes import class_names, resolve_class
from lit_gen.errors import UserError, first_line, nearest

_KEY = re.compile(r'Parser key "([^"]+)":')
_CLASS = re.compile(r"Problem with given class_path '([\w.]+)'")
_UNKNOWN = re.compile(r"(?:Option|Key) '([^']+)' is not (?:accepted|expected)")
_CALLABLE = re.compile(r"Got value: Namespace\(class_path='([\w.]+)'")
_PATH = re.compile(r"Expected a (?:dot import path string|path but): ?(\S+)|Expected a path but (\S+) either")
_NO_MODULE = re.compile(r"(?:No module named|has no attribute|Import path|Problem importing) ?'?([\w.]+)'?")
_SUBCLASS = re.compile(r"Import path ([\w.]+) does not correspond to a subclass of ([\w.]+)")
_TYPE = re.compile(r"Expected an? (?:<class '([\w.]+)'>|(List|list|dict|path|.+?))(?:\. Got value: (.*))?$")
_FACTORY = re.compile(r"- (\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'")
_REQUIRED = re.compile(r'Key "([^"]+)" is required|Parameter "([^"]+)" is required')
_LIST = "collections.abc.Sequence"
_WORDS = {
    _LIST: "a list",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "NoneType": "null",
}


class _Leaf(NamedTuple):
    """What one line of the tree says: how telling it is, under which key, of which class."""

    rank: int
    keys: tuple[str, ...]
    owner: str | None
    text: str
    value: str | None = None


def diagnose(message: str, parser: ArgumentParser, configs: Sequence[tuple[str, Mapping[str, Any]]] = ()) -> UserError:
    """Turns a complaint of jsonargparse into an error whose message is one line.

    Arguments:
        message: The complaint.
        parser: Whose complaint it is, for the names that would be right.
        configs: The configuration files that were read, by name, to say which of them is meant.
    """
    known = _flags(parser)
    if match := re.match(r"unrecognized arguments: (\S+)", message, re.I):
        flag = match[1].split("=")[0]
        if not flag.startswith("-"):
            return UserError(f"'{flag}' belongs to no option; values follow their option, as in --key value")
        name, tops = flag.lstrip("-"), {key.partition(".")[0] for key in known}
        hint = nearest(name, known) or nearest(name.partition(".")[0], tops)
        hint = hint.replace("mean '", "mean '--")
        return UserError(f"there is no option '{flag}'{hint}")
    if match := re.search(r"the following arguments are required: (.*)", message):
        config = ", and no --config gives it" if "config" in known else ""
        return UserError(f"--{match[1].split(',')[0].strip().lstrip('-')} is missing{config}")
    if match := re.match(r"argument (?:-c/)?(--\S+?):? (expected .*)", message):
        return UserError(f"{match[1].rstrip(':')} lacks its value ({match[2]})")
    if match := re.match(r"Option '([^']+)' is not accepted", message):
        key, tops = match[1].split(".")[0], {name.partition(".")[0] for name in known}
        return UserError(f"there is no setting '{key}'{_where([key], configs)}{nearest(key, tops)}")
    if match := re.match(r"Group '([^']+)' does not accept option '([^']+)'", message):
        group, key = match[1], match[2].split(".")[0]
        names = [name[len(group) + 1 :] for name in known if name.startswith(f"{group}.")]
        where = _where([*group.split("."), key], configs)
        return UserError(f"there is no setting '{group}.{key}'{where}{nearest(key, names)}")
    for path in re.findall(r"class_path '([\w.]+)'", message):
        if complaint := _import_failure(path):
            return UserError(f"{path} cannot be used: importing its module fails with {complaint}")
    if match := _FACTORY.search(message):
        return UserError(f"{match[1]} cannot be used in the place where it is named: it takes no '{match[2]}'")
    leaves = list(_leaves(message))
    if not leaves:
        return UserError(" ".join(message.split()))
    match = re.search(r"Given value: (?:NestedArg\(.*val='([^']*)'\)|([^{\n(]+))$", message)
    given = (match[1] or match[2]) if match else None
    return UserError(_say(max(leaves, key=lambda leaf: (leaf.rank, len(leaf.keys))), leaves, given, configs))


def _import_failure(path: str) -> str | None:
    """Says how the module of an import path fails, None if it is there and does not, or if it is not there at all."""
    module = path.rpartition(".")[0]
    try:
        if module and importlib.util.find_spec(module) is not None:
            importlib.import_module(module)
    except Exception as error:  # a user's module may fail in any way
        missing = isinstance(error, ModuleNotFoundError) and module.startswith(error.name or "?")
        return None if missing else f"{type(error).__name__}: {first_line(error)}"
    return None


def user_error(error: BaseException | None) -> UserError | None:
    """Finds the user's error that a parser wrapped into one of its own."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def _flags(parser: ArgumentParser) -> list[str]:
    return [flag[2:] for action in parser._actions for flag in action.option_strings if flag.startswith("--")]


def _leaves(message: str) -> Iterator[_Leaf]:
    opened: list[tuple[int, str | None, str | None]] = []  # indentation, key, class
    for line in message.splitlines():
        indent = len(line) - len(line.lstrip(" -"))
        if not line.strip() or line.strip().startswith(("Given value", "Subtypes")):
            continue
        while opened and opened[-1][0] >= indent:
            opened.pop()
        if match := _KEY.search(line):
            opened.append((indent, match[1], None))
        if match := _CLASS.search(line):
            opened.append((indent, None, match[1]))
        keys = tuple(part for _, key, _ in opened if key for part in key.split("."))
        keys = tuple(part for part in keys if part not in ("init_args", "dict_kwargs"))
        owner = next((name for _, _, name in reversed(opened) if name), None)
        if match := _UNKNOWN.search(line):
            made = _CALLABLE.search(line)
            yield _Leaf(
                4, (*keys, *match[1].removeprefix("init_args.").split(".")), made[1] if made else owner, "unknown"
            )
        elif match := _SUBCLASS.search(line):
            yield _Leaf(3, keys, owner, "subclass", match[1])
        elif match := _PATH.search(line):
            yield _Leaf(2, keys, owner, "class", match[1] or match[2])
        elif match := _REQUIRED.search(line):
            yield _Leaf(2, (*keys, match[1] or match[2]), owner, "required")
        elif (match := _TYPE.search(line)) and not _KEY.search(line):
            yield _Leaf(1, keys, owner, match[1] or match[2], match[3])


def _say(
    leaf: _Leaf, leaves: Sequence[_Leaf], given: str | None, configs: Sequence[tuple[str, Mapping[str, Any]]]
) -> str:
    key, where = ".".join(leaf.keys), _where(leaf.keys, configs)
    if leaf.text == "unknown" and leaf.keys[-1] == "class_path":
        return (
            f"{'.'.join(leaf.keys[:-1])}: beside class_path stands init_args, and a class's arguments under it{where}"
        )
    if leaf.text == "unknown":
        owner = (leaf.owner or "").rpartition(".")[2]
        names = _arguments(leaf.owner)
        listed = f"; it has {', '.join(names)}" if names else ""
        hint = nearest(leaf.keys[-1], names)
        return f"{owner} has no argument '{key}'{where}{hint or listed}"
    if leaf.text == "class":
        value = (leaf.value or "").strip("'\"")
        package, dot, _ = value.partition(".")
        if dot and importlib.util.find_spec(package) is None:
            return f"{key} is '{value}'{where}, but there is no package '{package}' here"
        names = class_names(leaf.keys)
        if value in class_names([""]):  # of the kinds that are nested
            if value in names and any(one.text == _LIST and one.keys == leaf.keys for one in leaves):
                return f"{key} is {value}, and must be a list: [{value}]{where}"
            right = f"; there are {', '.join(names)}" if value not in names else ""
            return f"{key} is {value}, which is of another kind{where}{right}"
        return f"{key} names no class '{value}'{where}{nearest(value.rpartition('.')[2], names)}"
    if leaf.text == "subclass":
        return f"{key} is {leaf.value}, which is of another kind{where}"
    if leaf.text == "required":
        return f"{key} is missing{where}"
    accepted = dict.fromkeys(one.text for one in leaves if one.keys == leaf.keys and one.rank == 1)
    shown_value = next((one.value for one in leaves if one.keys == leaf.keys and one.value is not None), given)
    shown = "of a wrong type" if shown_value is None else f"'{shown_value}'"
    literals = [name.partition("[")[2].rstrip("]") for name in accepted if "Literal[" in name]
    choices = [word.strip("' ") for literal in literals for word in literal.split(",")]
    kinds = [name for name in accepted if "Literal[" not in name and name != "NoneType"]
    words = [_WORDS.get(name, name.rpartition(".")[2]) for name in kinds]
    words += [f"one of {', '.join(choices)}"] if choices else []
    return f"{key} is {shown}, and must be {' or '.join(words) or 'null'}{where}{nearest(shown_value or '', choices)}"


def _where(keys: Iterable[str], configs: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Says which configuration file has a key, if one has: the last, which overrides the others."""
    for name, content in reversed(configs):
        value: Any = content
        for key in keys:
            if isinstance(value, Mapping) and key not in value and isinstance(value.get("init_args"), Mapping):
                value = value["init_args"]
            if not isinstance(value, Mapping) or key not in value:
                break
            value = value[key]
        else:
            return f" (in {name})"
    return ""


def _arguments(class_path: str | None) -> list[str]:
    """Lists the constructor arguments of a class, those that it passes on included."""
    owner = resolve_class(class_path)
    if owner is None:
        return []
    parser = ArgumentParser(exit_on_error=False)
    try:
        parser.add_class_arguments(owner, "it", fail_untyped=False)
    except Exception:  # a signature that jsonargparse cannot read: there is no list, the message stands without
        return []
    return sorted({flag.split(".")[1] for flag in _flags(parser) if flag.startswith("it.")})
