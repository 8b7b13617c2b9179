"""Runs, studies and sweeps as a table, a row each, made without loading torch."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from interp.runs.facts import run_facts, two_accuracies
from interp.runs.folders import PARTIAL, ROOT, STUDY, SWEEP, Folder, find_folder, folders_below, read_object

_NUMBERS = {"runs": "int64", "steps": "Int64", "accuracy_length": "Int64", "transfer_length": "Int64", "bytes": "int64",
            "accuracy": "float64", "transfer": "float64"}  # fmt: skip


def runs_in(name: str | None) -> list[Folder]:
    """What is under `runs`, newest last; or the runs in a study, a sweep or another folder, by name.

    Raises:
        UnknownNameError: There is no such study or sweep.
    """
    if name is None:
        return folders_below()
    folder = find_folder(name)
    if folder is not None:
        return folder.runs
    for place in (Path(name), ROOT / name):
        if runs := Folder(place, "folder").runs:
            return runs
    from tasks.errors import unknown_name

    known = [one.name for one in folders_below() if one.kind != "run"]
    raise unknown_name("study or sweep", name, known, listing="'interp runs' lists them")


def run_table(folders: Sequence[Folder]) -> pd.DataFrame:
    """A row for each run, study and sweep.

    Columns: run (its name); kind: run, study, sweep, or folder of such; state: finished, unfinished or damaged; runs:
    how many are inside, 1 for a run; group: that of the study or sweep if it says so, else the tasks, or of how many
    mixtures of tasks the runs are; tasks: with their longest trained lengths; size: layers x heads x d_model; steps;
    seed: of several runs all of them; accuracy, accuracy_length, transfer, transfer_length
    (`run_facts.two_accuracies`): of a run, or a study's with the auxiliary; trained: when, in UTC; bytes: on disk.
    """
    table = pd.DataFrame([_row(folder) for folder in folders], columns=list(_EMPTY))
    return table.astype(_NUMBERS)


_EMPTY: dict[str, Any] = dict.fromkeys(
    ("run", "kind", "state", "runs", "group", "tasks", "size", "steps", "seed", "accuracy", "accuracy_length",
     "transfer", "transfer_length", "trained", "bytes")
)  # fmt: skip


def _row(folder: Folder) -> dict[str, Any]:
    inside = folder.runs
    known = {run.path: facts for run in inside if (facts := run_facts(run.path)) is not None}
    main = folder.main if folder.main in known else folder.main.with_name(folder.main.name + PARTIAL)
    row = {
        **_EMPTY,
        "run": folder.name.removesuffix(PARTIAL),
        "kind": folder.kind,
        "state": "damaged" if len(known) < len(inside) else "finished" if folder.finished else "unfinished",
        "runs": len(inside),
        "trained": datetime.fromtimestamp(folder.finished_at, tz=UTC).isoformat(timespec="seconds"),
        "bytes": folder.size,
    }
    if known:
        mixtures = list(dict.fromkeys(facts.tasks for facts in known.values()))
        row |= {
            "tasks": " ".join(mixtures),
            "group": mixtures[0] if len(mixtures) == 1 else f"{len(mixtures)} mixtures",
            "size": " ".join(sorted({facts.size for facts in known.values()})),
            "steps": max(facts.steps for facts in known.values()),
            "seed": _ranges({facts.seed for facts in known.values()}),
        }
    row["group"] = _group(folder) or row["group"]
    if folder.kind in ("run", "study") and main in known:
        for name, found in zip(("accuracy", "transfer"), two_accuracies(main, known[main]), strict=True):
            row[name], row[f"{name}_length"] = found or (None, None)
    return row


def _group(folder: Folder) -> str | None:
    """The group of tasks that a study or a sweep says it is of."""
    if folder.kind == "study":
        return (read_object(folder.path / STUDY) or {}).get("group")
    grid = (read_object(folder.path / SWEEP) or {}).get("grid") if folder.kind == "sweep" else None
    fixed = grid.get("fixed") if isinstance(grid, dict) else None
    return fixed.get("group") if isinstance(fixed, dict) else None


def _ranges(numbers: set[int]) -> str:
    """Numbers in words: 41-45 where there is no gap, else one by one."""
    found = sorted(numbers)
    if len(found) > 2 and found[-1] - found[0] == len(found) - 1:
        return f"{found[0]}-{found[-1]}"
    return " ".join(map(str, found))


def accuracies(table: pd.DataFrame) -> list[str | None]:
    """Accuracy and transfer in words, as in `1.000 .934`."""
    pairs = zip(table["accuracy"], table["transfer"], strict=True)
    return [" ".join(f"{one:.3f}".removeprefix("0") for one in pair if not pd.isna(one)) or None for pair in pairs]


def age(stamp: str) -> str:
    """How long ago that was, in the greatest unit that is not zero."""
    seconds = max(0.0, time.time() - datetime.fromisoformat(stamp).timestamp())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds / length)} {unit}"
    return f"{int(seconds)} s"


def disk(size: int) -> str:
    """Bytes in words, with three digits that count."""
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.{0 if size >= 100 * one else 1}f} {unit}"
    return f"{size} B"
