"""Several runs as a command line names them: each by itself, or a whole sweep."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training import Run


def runs_of(names: Sequence[str]) -> "list[Run]":
    """The runs that are named, a sweep standing for all its finished runs of several tasks; the newest run if none is.

    Raises:
        UnknownNameError: No such run or sweep.
        BrokenRunError: One of them is unfinished or damaged.
        InvalidValueError: A run named twice, or a sweep without such a run.
    """
    from tasks import InvalidValueError
    from training import load_run
    from training.finding import SWEEP, sweep_runs
    from training.run_config import ROOT

    runs: list[Run] = []
    for name in names:
        folder = next((place for place in (Path(name), ROOT / name) if (place / SWEEP).is_file()), None)
        if folder is None:
            runs.append(load_run(name))
            continue
        found = [run for run in sweep_runs(folder) if len(run.mixture) > 1]
        if not found:
            raise InvalidValueError(f"sweep {name!r} has no finished run of several tasks; name another")
        runs += found
    paths = [run.path.resolve() for run in runs]
    for run, path in zip(runs, paths, strict=True):
        if paths.count(path) > 1:
            raise InvalidValueError(f"run {run.name!r} is named twice; name each run once")
    return runs or [load_run()]


def alike(runs: "Sequence[Run]") -> "list[list[Run]]":
    """The runs in sets that differ in their seed only, in the order in which they were named."""
    sets: dict[str, list[Run]] = {}
    for run in runs:
        key = run.config.model_copy(update={"seed": 0, "data_seed": None}).model_dump_json()
        sets.setdefault(key, []).append(run)
    return list(sets.values())
