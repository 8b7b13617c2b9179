"""Tasks by name."""

import dataclasses

from tasks.errors import InvalidValueError, unknown_name
from tasks.strings import Capitalize, CapitalizeReverse, Copy, Reverse, Shift
from tasks.task import Task

_TASKS: dict[str, type[Task]] = {task.name: task for task in (Copy, Shift, Reverse, Capitalize, CapitalizeReverse)}


def list_tasks() -> list[str]:
    """The names of all tasks, in alphabetical order."""
    return sorted(_TASKS)


def get_task(name: str, **parameters: object) -> Task:
    """The task of that name.

    Args:
        name: One of `list_tasks()`.
        parameters: The task's own fields, for example `alphabet=12, case="lower"`.

    Raises:
        UnknownNameError: No task has that name.
        InvalidValueError: The task has no such parameter, or refuses its value.
    """
    if name not in _TASKS:
        raise unknown_name("task", name, _TASKS, listing=f"'interp tasks' lists all {len(_TASKS)}")
    kind = _TASKS[name]
    fields = [field.name for field in dataclasses.fields(kind)]
    for parameter in parameters:
        if parameter not in fields:
            raise InvalidValueError(f"task {name!r} has no parameter {parameter!r}; it has {', '.join(fields)}")
    return kind(**parameters)
