"""Tasks by name: those that come with the toolkit, users' own registered ones, and those that entry points offer."""

import dataclasses
import inspect
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar, cast

from tasks.arithmetic import (
    CarryOnly,
    CopyFirst,
    DigitSuccessor,
    Increment,
    MultiplyCot,
    NoCarry,
    ReverseAdd,
    ReverseSubtract,
)
from tasks.errors import InvalidValueError, unknown_name
from tasks.mazes import DfsTrace, ShortestPath
from tasks.own import is_file, load_class
from tasks.sorting import Count, Fill, Min, Sort, Successor
from tasks.strings import Capitalize, CapitalizeReverse, Copy, Mqar, Reverse, Shift
from tasks.task import Task

Kind = TypeVar("Kind", bound=type[Task])

ENTRY_POINTS = "interp.tasks"
"""The group of entry points by which an installed package offers tasks: `name = "package.module:Class"`."""

_BUILT_IN = (
    *(ReverseAdd, NoCarry, CarryOnly, CopyFirst, ReverseSubtract, MultiplyCot),
    *(Copy, Shift, Reverse, Capitalize, CapitalizeReverse, Mqar),
    *(DfsTrace, ShortestPath),
    *(Sort, Min, Successor, Count, Fill, Increment, DigitSuccessor),
)
_TASKS: dict[str, type[Task]] = {kind.name: kind for kind in _BUILT_IN}


def list_tasks() -> list[str]:
    """The names of all tasks, in alphabetical order."""
    return sorted({*_TASKS, *entry_points(group=ENTRY_POINTS).names})


def get_task(name: str, **parameters: object) -> Task:
    """The task of that name.

    Args:
        name: One of `list_tasks()`, or a class in a file of one's own, `my_file.py:MyTask`.
        parameters: The task's own fields, for example `alphabet=12, case="lower"`.

    Raises:
        UnknownNameError: No task has that name.
        InvalidValueError: The task has no such parameter, or refuses its value; the file or the class cannot be used.
    """
    kind = _class(name)
    fields = [field.name for field in dataclasses.fields(kind)]
    for parameter in parameters:
        if parameter not in fields:
            raise InvalidValueError(f"task {name!r} has no parameter {parameter!r}; it has {', '.join(fields)}")
    return kind(**cast("dict[str, Any]", parameters))  # the class checks their values


def register_task(kind: Kind) -> Kind:
    """Makes a task of one's own known by its name, as a decorator of its class (above `@dataclass(frozen=True)`).

    Raises:
        InvalidValueError: The class is not a complete task, or another task has its name.
    """
    _check(kind, kind.__qualname__)
    _refuse_clash(kind)
    file = _file(kind)
    if file and kind.__module__ != "__main__" and kind.__qualname__.isidentifier():
        near = file.is_relative_to(Path.cwd())
        kind.origin = f"{file.relative_to(Path.cwd()) if near else file}:{kind.__qualname__}"
    _TASKS[kind.name] = kind
    return kind


def _class(name: str) -> type[Task]:
    if name in _TASKS:
        return _TASKS[name]
    if is_file(name):
        kind = _checked(load_class(name), name)
        _refuse_clash(kind)
        kind.origin = name
        return kind
    offered = entry_points(group=ENTRY_POINTS, name=name)
    if not offered:
        listing = f"'interp tasks' lists all {len(list_tasks())}"
        raise unknown_name("task", name, list_tasks(), listing=listing)
    kind = _checked(_loaded(next(iter(offered))), name)
    if kind.name != name:
        raise InvalidValueError(
            f"the entry point {name!r} leads to the task {kind.name!r}; both names must be the same"
        )
    kind.origin = ""  # its name is enough, also on another machine
    _TASKS[name] = kind
    return kind


def _loaded(offered: EntryPoint) -> object:
    try:
        return offered.load()
    except Exception as error:
        raise InvalidValueError(
            f"the task {offered.name!r} that an installed package offers cannot be loaded: "
            f"{type(error).__name__}: {error}; mend or remove that package"
        ) from error


def _checked(kind: object, name: str) -> type[Task]:
    if not (isinstance(kind, type) and issubclass(kind, Task)):
        raise InvalidValueError(f"{name!r} is no task; a task is a class derived from tasks.Task")
    _check(kind, name)
    return kind


def _refuse_clash(kind: type[Task]) -> None:
    """Raises InvalidValueError if another task has the name; the same class, defined or imported again, is none."""
    known = _TASKS.get(kind.name)
    if known is None or (known.__qualname__ == kind.__qualname__ and _place(known) == _place(kind)):
        return
    raise InvalidValueError(f"there is a task {kind.name!r} already; choose another name for {kind.__qualname__!r}")


def _place(kind: type[Task]) -> object:
    return _file(kind) or kind.__module__


def _file(kind: type[Task]) -> Path | None:
    """The file that defines a class; none for one that was typed into a notebook."""
    try:
        file = Path(inspect.getfile(kind)).resolve()
    except (OSError, TypeError):
        return None
    return file if file.is_file() else None


def _check(kind: type[Task], name: str) -> None:
    """Raises InvalidValueError unless the class says all that a task must."""
    if not dataclasses.is_dataclass(kind) or "__dataclass_params__" not in kind.__dict__:
        raise InvalidValueError(f"{name!r} is no dataclass; write @dataclass(frozen=True) above the class")
    missing = [field for field in ("name", "summary") if not isinstance(getattr(kind, field, None), str)]
    if missing:
        raise InvalidValueError(f'task {name!r} has no {missing[0]}; write {missing[0]} = "..." in the class')
    if inspect.isabstract(kind):
        raise InvalidValueError(f"task {name!r} lacks {', '.join(sorted(kind.__abstractmethods__))}; define them")
