"""Which maps of head effects can be compared: of one shape, model, metric, kind, length and version of the task."""

import textwrap
from collections.abc import Sequence

from analyses.effects import HeadEffects
from analyses.statistics.seeds import check_seeds
from tasks import InvalidValueError

_ALIKE = ("sets", "kind", "positions", "metric", "length")


def check_map(one: HeadEffects, *, k: int) -> None:
    """Raises InvalidValueError unless the effects are of single heads, and of k or more."""
    if any(len(heads) > 1 for heads in one.sets):
        raise InvalidValueError("overlap needs maps of single heads, not of a joint set; ablate the heads singly")
    if not 1 <= k <= len(one.sets):
        raise InvalidValueError(f"k = {k} top heads of {len(one.sets)}; allowed are 1 to {len(one.sets)}")


def check_pair(first: HeadEffects, second: HeadEffects) -> None:
    """Raises InvalidValueError unless the effects are of one model and were measured alike."""
    tasks = f"the maps of {first.task!r} and {second.task!r}"
    _check_alike(first, second, tasks)
    if first.model and second.model and first.model != second.model:
        raise InvalidValueError(
            f"{tasks} are of different models; heads of one model are not those of another, so compare maps of one "
            "model, and several models with over_seeds"
        )
    if first.task == second.task and first.task_key != second.task_key:
        raise InvalidValueError(_versions(first, second))


def check_runs(runs: Sequence[Sequence[HeadEffects]]) -> None:
    """Raises InvalidValueError unless there are two runs or more, of other weights, with the same maps of each."""
    check_seeds(len(runs))
    names = [[one.task for one in maps] for maps in runs]
    for other in names[1:]:
        if other != names[0]:
            raise InvalidValueError(
                f"the runs have maps of {', '.join(names[0])} and of {', '.join(other)}; give each run's maps of the "
                "same tasks in the same order"
            )
    for maps in runs[1:]:
        for first, second in zip(runs[0], maps, strict=True):
            _check_alike(first, second, f"the maps of {first.task!r} in two runs")
            if first.task_key and second.task_key and first.task_key != second.task_key:
                raise InvalidValueError(_versions(first, second))
    models = [maps[0].model for maps in runs if maps and maps[0].model]
    if len(set(models)) < len(models):
        raise InvalidValueError("two of the runs have the same weights, so they are no two seeds; name each run once")


def _check_alike(first: HeadEffects, second: HeadEffects, subject: str) -> None:
    for name in _ALIKE:
        one, two = getattr(first, name), getattr(second, name)
        if one != two:
            raise InvalidValueError(f"{subject} differ in {name}: {_short(one)} and {_short(two)}; measure both alike")


def _versions(first: HeadEffects, second: HeadEffects) -> str:
    return (
        f"the maps of {first.task!r} are of two versions of it, {first.task_key} and {second.task_key}; "
        "measure the older one again"
    )


def _short(value: object) -> str:
    """A value in few words: a metric by its name, sets of heads by their number and names."""
    if not isinstance(value, tuple):
        return str(getattr(value, "name", value))
    names = ", ".join(" ".join(map(str, heads)) for heads in value)
    return f"{len(value)} sets ({textwrap.shorten(names, 60, placeholder=' ...')})"
