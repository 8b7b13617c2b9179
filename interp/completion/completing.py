"""What a shell may put in the place of an unfinished word: commands, options, their values, names of runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from interp.completion.known_names import (
    DEVICES,
    GROUPS,
    LABELS,
    MEASURES,
    METRICS,
    POSITIONS,
    PRIMITIVES,
    SITES,
    TASKS,
    WEIGHTS,
    presets,
)
from interp.runs.folders import PARTIAL, ROOT, Folder, Kind, folders_below

if TYPE_CHECKING:
    from cyclopts import App, Argument

_ANY: tuple[Kind, ...] = ("run", "study", "sweep", "folder")


def candidates(app: "App", words: Sequence[str]) -> list[str]:
    """What may stand in the place of the last of the words that follow the program's name, in a sensible order.

    Nothing where only a file, a number or a text of one's own fits.
    """
    current = words[-1] if words else ""
    command, rest, names = _command(app, words[:-1])
    if rest is None:
        return []
    if names and not rest and not current.startswith("-"):
        found = [*names, *_values(command, rest, current)] if command is not app else names
    elif current.startswith("--") and "=" in current:
        option, _, begun = current.partition("=")
        found = [f"{option}={value}" for value in _values(command, [*rest, option], begun)]
    elif current.startswith("-") and "--" not in rest:
        found = _options(command)
    else:
        found = _values(command, rest, current)
    return [one for one in dict.fromkeys(found) if one.startswith(current) and one.isprintable()]


def _command(app: "App", before: Sequence[str]) -> "tuple[App, Sequence[str] | None, list[str]]":
    """The command that the words name, the words after it, and the commands inside of it; no words: no such command."""
    names = [name for name in app if not name.startswith("-")]
    if not names or not before:
        return app, before, names
    if before[0] in names:
        return _command(app[before[0]], before[1:])
    return app, before if app.default_command is not None else None, names


def _arguments(command: "App") -> "list[Argument]":
    if command.default_command is None:
        return []
    return [one for one in command.assemble_argument_collection() if one.show and one.names != ("*",)]


def _options(command: "App") -> list[str]:
    own = [name for one in _arguments(command) for name in one.names if name.startswith("--")]
    return [*own, *(name for name in command if name.startswith("-"))]


def _values(command: "App", before: Sequence[str], current: str) -> list[str]:
    """Values for the option that is open, or for the next positional argument."""
    positional, options = _by_kind(_arguments(command))
    opened: Argument | None = None
    count = taken = 0
    for word in before:
        if word.startswith("--"):
            opened, taken = options.get(word), 0
            if opened is not None and opened.is_flag():
                opened = None
        elif opened is not None and (taken == 0 or _takes_many(opened)):
            taken += 1
        else:
            opened, count = None, count + 1
    if opened is not None and (taken == 0 or _takes_many(opened)):
        return _of(opened, current)
    if positional and (count < len(positional) or positional[-1].is_var_positional()):
        return _of(positional[min(count, len(positional) - 1)], current)
    return []


def _by_kind(arguments: "list[Argument]") -> "tuple[list[Argument], Mapping[str, Argument]]":
    positional = [one for one in arguments if one.is_positional_only() or one.is_var_positional()]
    return positional, {name: one for one in arguments for name in one.names if name.startswith("--")}


def _takes_many(argument: "Argument") -> bool:
    return argument.token_count()[1]


def _of(argument: "Argument", current: str) -> list[str]:
    choices = argument.get_choices()
    if choices:
        return list(choices)
    known = _KNOWN.get(argument.field_info.name)
    return [] if known is None else list(known(current))


def _folders(*kinds: Kind) -> Callable[[str], Iterator[str]]:
    """Names of runs and the like; where the word goes into a folder, names in there."""

    def names(current: str) -> Iterator[str]:
        for folder in folders_below():
            yield from _names(folder, kinds, current)

    return names


def _names(folder: Folder, kinds: Sequence[Kind], current: str) -> Iterator[str]:
    name = _plain(folder)
    if folder.kind in kinds:
        yield name
    if folder.kind == "run" or "run" not in kinds:
        return
    if current.startswith(f"{name}/"):
        yield from map(_plain, folder.runs)
    elif folder.kind not in kinds:
        yield f"{name}/"


def _plain(folder: Folder) -> str:
    """A folder's name, or its path where the name would look like an option."""
    name = folder.name.removesuffix(PARTIAL)
    return (ROOT / name).as_posix() if name.startswith("-") else name


def _all(*names: str) -> Callable[[str], Sequence[str]]:
    return lambda current: names


def _presets(_current: str) -> list[str]:
    return [*presets(), *(str(file) for file in Path().glob("*.toml"))]


_KNOWN: Mapping[str, Callable[[str], "Iterator[str] | Sequence[str]"]] = {
    "run": _folders("run", "study"),
    "first": _folders("run", "study"),
    "second": _folders("run", "study"),
    "runs": _folders("run", "study", "sweep"),
    "names": _folders(*_ANY),
    "folder": _folders("study", "sweep", "folder"),
    "study": _folders("study"),
    "source": _folders("sweep"),
    "task": _all(*TASKS),
    "tasks": _all(*TASKS),
    "main": _all(*TASKS),
    "auxiliary": _all(*TASKS),
    "candidates": _all(*TASKS),
    "among": _all("all", *GROUPS),
    "group": _all(*GROUPS),
    "preset": _presets,
    "metric": _all(*METRICS),
    "weights": _all(*WEIGHTS),
    "label": _all(*LABELS),
    "primitives": _all(*PRIMITIVES),
    "measures": _all(*MEASURES),
    "sites": _all(*SITES),
    "positions": _all(*POSITIONS),
    "device": _all(*DEVICES),
}
"""By the name of the parameter: commands call the same thing by the same name."""
