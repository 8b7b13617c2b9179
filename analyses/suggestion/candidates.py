"""Which tasks might help a main task, and the pairs that they make with it."""

import dataclasses
from collections.abc import Sequence

from tasks import Group, InterpError, InvalidValueError, Member, Task, get_task, list_tasks

ENOUGH = 0.5
"""The share of the main task's symbols that a related task has, at least."""


def adapted(task: Task, main: Task) -> Task:
    """The task with the main task's parameters, those that it has: as large an alphabet, marked in the same way.

    Raises:
        InvalidValueError: The task refuses one of them.
    """
    has = {field.name for field in dataclasses.fields(task)}
    return dataclasses.replace(task, **{key: value for key, value in main.parameters.items() if key in has})


def related_tasks(main: Member, *, length: int) -> tuple[tuple[Task, ...], dict[str, str]]:
    """All tasks of the main task's family, with its parameters.

    A task is of the family if it has at least half of the main task's symbols. Numbers stand for elements in sorting
    and for nodes in mazes, so of two tasks that come with the toolkit, both must be of one kind as well: strings,
    arithmetic, sorting or mazes.

    Args:
        main: The main task, at its short lengths.
        length: The longest length of the others.

    Returns:
        The tasks, in alphabetical order; and, by name, why others cannot be used: they refuse the main task's
        parameters, cannot make the lengths, or cannot be loaded.
    """
    related: list[Task] = []
    left_out: dict[str, str] = {}
    for name in list_tasks():
        if name == main.task.name:
            continue
        try:
            task = get_task(name)
        except InterpError as error:  # what another package offers may be broken
            left_out[name] = str(error)
            continue
        try:
            task = adapted(task, main.task)
            if _are_related(main.task, task):
                pair_with(main, task, length=length)
                related.append(task)
        except InvalidValueError as error:
            if _are_related(main.task, task):
                left_out[name] = str(error)
    return tuple(related), left_out


def named_tasks(group: Group, main: Task) -> tuple[Task, ...]:
    """The tasks of a group but the main task (which may be one of its auxiliaries), with the main task's parameters.

    Raises:
        InvalidValueError: A task refuses one of the parameters.
    """
    members = (group.main, *group.auxiliaries, *group.controls)
    return tuple(adapted(member.task, main) for member in members if member.task.name != main.name)


def pairs_of(main: Member, candidates: Sequence[Task], *, length: int) -> tuple[Group, ...]:
    """For each candidate the group of the main task with it as the only auxiliary.

    Raises:
        InvalidValueError: As `pair_with`.
    """
    return tuple(pair_with(main, task, length=length) for task in candidates)


def pair_with(main: Member, candidate: Task, *, length: int) -> Group:
    """The group of a main task and a candidate.

    Its vocabulary is that of these two tasks, whatever either was bound to before. So a pair is the same run whatever
    it is compared with.

    Args:
        main: The main task, at its short lengths.
        candidate: The candidate.
        length: Its longest length; its lengths are distributed as the main task's.

    Raises:
        InvalidValueError: The candidate cannot make that length or the main task's, is the main task, or is marked in
            another way.
    """
    candidate.check_length(main.max_length)
    others = (Member(dataclasses.replace(candidate), length, main.lengths),)
    return Group(f"{main.task.name}+{candidate.name}", _unbound(main), others, (), "suggest")


def main_alone(main: Member) -> Group:
    """The group of a main task without auxiliaries, in its own vocabulary."""
    return Group(main.task.name, _unbound(main), (), (), "suggest")


def _unbound(member: Member) -> Member:
    """The member with a task that speaks its own vocabulary only, whatever it was bound to."""
    return dataclasses.replace(member, task=dataclasses.replace(member.task))


def _are_related(main: Task, other: Task) -> bool:
    families = {family for family in (_family(main), _family(other)) if family}
    shared = set(main.symbols) & set(other.symbols)
    return len(families) < 2 and len(shared) >= ENOUGH * len(main.symbols)


def _family(task: Task) -> str:
    """The package of a task that comes with the toolkit, as `tasks.strings`; empty for others."""
    package = type(task).__module__.rpartition(".")[0]
    return package if package.startswith("tasks.") else ""
