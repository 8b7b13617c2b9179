"""Tasks and groups of tasks as the command line names them."""

import re
from pathlib import Path

from analyses.store import result_digest
from interp.asking.options import Form
from tasks import Group, InvalidValueError, Member, Task, get_group, get_task

MAIN_LENGTH, AUXILIARY_LENGTH = 10, 20
"""Longest training lengths of tasks that are put together on the command line, unless others are given."""

_CALL = re.compile(r"(?P<name>[^()]+)(?:\((?P<parameters>[^()]*)\))?")


def chosen_task(text: str) -> Task:
    """The task of that name, with parameters in brackets if there are any: `shift(alphabet=12,case=lower)`.

    Raises:
        UnknownNameError: No such task.
        InvalidValueError: The text has another form, or the task refuses a parameter.
    """
    found = _CALL.fullmatch(text)
    pairs = [part.split("=") for part in (found["parameters"] or "").split(",") if part] if found else []
    if not found or any(len(pair) != 2 for pair in pairs):
        raise InvalidValueError(f"{text!r} names no task; write NAME or 'NAME(parameter=value,...)'")
    values = {key.strip(): _value(value.strip()) for key, value in pairs}
    return get_task(found["name"].strip(), **values)


def _value(text: str) -> int | float | str:
    """A parameter's value: a whole number, a number, or else a text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def chosen_group(name: str, form: Form) -> Group:
    """The group of that name, at other lengths and with another marking if they are given.

    Raises:
        UnknownNameError: No such group.
        InvalidValueError: A length that a task cannot make.
    """
    group = get_group(name)
    main = group.main.max_length if form.main_length is None else form.main_length
    auxiliary = group.auxiliary_length if form.auxiliary_length is None else form.auxiliary_length
    return group.with_lengths(main=main, auxiliary=auxiliary).with_marking(form.marking or group.marking)


def own_group(main: str, auxiliaries: tuple[str, ...], form: Form) -> Group:
    """A group put together from tasks.

    Raises:
        UnknownNameError: No such task.
        InvalidValueError: A length that a task cannot make, or a task named twice.
    """
    task, *others = (chosen_task(text) for text in (main, *auxiliaries))
    longest = AUXILIARY_LENGTH if form.auxiliary_length is None else form.auxiliary_length
    group = Group(
        name="+".join(one.name for one in (task, *others)),
        main=Member(task, MAIN_LENGTH if form.main_length is None else form.main_length),
        auxiliaries=tuple(Member(one, longest) for one in others),
        controls=(),
        source="put together on the command line",
    )
    return group if form.marking is None else group.with_marking(form.marking)


def default_name(group: str, preset: str, seed: int, *, changes: tuple[object, ...]) -> str:
    """A name for what is made from a group, a preset and a seed; with a digest of any other options that were given."""
    parts = [group.replace("/", "-"), Path(preset).stem, f"seed{seed}"]
    return "-".join(parts + ([result_digest({"changes": changes})[:6]] if any(changes) else []))
