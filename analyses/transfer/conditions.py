"""Sweeps over conditions and seeds: the group that is asked for, and the runs that came of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks import Group, InvalidValueError
from training import Run, SweepResult, load_run
from training.sweep.cells import Choice


def group_of(name: str, fixed: Mapping[str, Any]) -> Group:
    """A group at the lengths and with the marking that a grid's fixed values ask for.

    Raises:
        UnknownNameError: No such group.
        InvalidValueError: A length that a task cannot make.
    """
    own = {key: value for key, value in fixed.items() if key in Choice.model_fields}
    return Choice.read({**own, "group": name}).tasks()


def check_fixed(fixed: Mapping[str, Any], *, chosen: Sequence[str], by: str) -> None:
    """Raises InvalidValueError if a grid's fixed values name a key that is chosen already."""
    for key in chosen:
        if key in fixed:
            raise InvalidValueError(f"fixed names {key!r}, which {by} chooses itself; leave it out there")


def finished_runs(result: SweepResult) -> list[tuple[str, Run]]:
    """The runs of a sweep over conditions, each with its condition.

    Raises:
        InvalidValueError: A run failed.
    """
    failed = result.status[result.status["status"] != "finished"]
    if len(failed):
        raise InvalidValueError(
            f"{len(failed)} of {len(result.status)} runs failed, the first with: {failed['error'].iloc[0]}; "
            "a comparison needs all of them"
        )
    return [(str(cell.values["condition"]), load_run(result.folder / cell.name)) for cell in result.cells]
