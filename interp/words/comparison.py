"""Runs beside each other: what they reach, how their heads overlap, and what differs in their configurations."""

from collections.abc import Sequence
from typing import Any

from interp.figures.heads import METRICS, HeadMap, head_map, metric_name
from interp.findings.runs import RunFindings
from interp.panels.study import FEWEST_RIGHT
from interp.words.heads import shared_heads
from interp.words.intervals import wilson
from interp.words.overlap import measure_name, shown
from interp.words.tables import DataTable, setting
from interp.words.verdict import quoted


def described(run: RunFindings) -> str:
    """A run in words: "A: `shift` with `copy`"."""
    others = f" with {quoted(run.tasks[1:])}" if len(run.tasks) > 1 else " alone"
    return f"{run.label}: {quoted(run.tasks[:1])}{others}"


def summary_table(runs: Sequence[RunFindings], *, metric: str) -> DataTable:
    """One row per run: exact match of its main task at three lengths, and the heads that its tasks share."""
    headers = ("run", "name", "trained on", "at its own longest", "halfway", "at the longest", "heads that help both")
    return DataTable(headers, tuple(_summary(run, metric) for run in runs))


def overlap_comparison(runs: Sequence[RunFindings], *, metric: str) -> DataTable:
    """One row per measure, one column per run and pair of its tasks: estimate, interval, and what shuffles give."""
    cells: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for run in runs:
        rows = run.overlap[run.overlap["metric"] == metric] if len(run.overlap) else run.overlap
        for row in (rows[rows["null"] == "within_layer"] if len(rows) else rows).to_dict("records"):
            column = f"{run.label}: {quoted([str(row['first']), str(row['second'])])}"
            columns += [] if column in columns else [column]
            cells.setdefault(measure_name(row), {})[column] = _alike(row)
    table = tuple((measure, *(found.get(column, "") for column in columns)) for measure, found in cells.items())
    return DataTable(("measure", *columns), table)


def differences_table(runs: Sequence[RunFindings]) -> DataTable:
    """One row per setting that is not the same in all runs."""
    names = list(dict.fromkeys(name for run in runs for name in run.settings))
    rows = []
    for name in names:
        values = [setting(run.settings[name]) if name in run.settings else "" for run in runs]
        if len(set(values)) > 1:
            rows.append((name.replace("_", " "), *values))
    return DataTable(("setting", *(f"run {run.label}" for run in runs)), tuple(rows))


def chosen_metrics(runs: Sequence[RunFindings]) -> list[str]:
    """The metrics, the one to be read first in front: accuracy, unless some task gets too little right to lose."""
    low = [bool((run.ablation.loc[run.ablation["metric"] == "accuracy", "clean"] < FEWEST_RIGHT).any()) for run in runs]
    names = [name for name in METRICS if any((run.ablation["metric"] == name).any() for run in runs)]
    return names[::-1] if any(low) else names


def run_maps(run: RunFindings, *, metric: str) -> list[HeadMap]:
    """The maps of a run, the main task's first, each titled with the run's letter."""
    return [head_map(run.ablation, task=task, metric=metric, run=run.label) for task in run.tasks]


def heads_note(metric: str) -> str:
    """How heads are measured, where it is not by exact match."""
    if metric == "accuracy":
        return ""
    name = metric_name(metric)
    return f"In some run too few answers are right for exact match to show what a head does: heads by {name}."


def _alike(row: dict[Any, Any]) -> str:
    """An estimate with its interval, and the mean of its null with p."""
    low, high, null = (shown(row, float(row[name])) for name in ("low", "high", "null_mean"))
    return f"{shown(row, float(row['estimate']))} ({low} to {high}); shuffled {null}, p = {float(row['p']):.2g}"


def _summary(run: RunFindings, metric: str) -> tuple[str, ...]:
    lengths = (run.trained[0], run.length, max(run.trained))
    maps = run_maps(run, metric=metric)
    shared = shared_heads(maps[0], maps[1]) if len(maps) > 1 else []
    names = ", ".join(shared[:6]) + (" …" if len(shared) > 6 else "")
    both = (f"{len(shared)}: {names}" if shared else "none") if len(maps) > 1 else "one task"
    trained = ", ".join(f"{task} to {longest}" for task, longest in zip(run.tasks, run.trained, strict=True))
    return (run.label, f"`{run.name}`", trained, *(_reached(run, length) for length in lengths), both)


def _reached(run: RunFindings, length: int) -> str:
    rows = run.accuracy[(run.accuracy["task"] == run.tasks[0]) & (run.accuracy["length"] == length)]
    if not len(rows):
        return ""
    estimate = wilson(float(rows["accuracy"].iloc[0]), float(rows["n"].iloc[0]))
    if not estimate.defined:
        return "not defined"
    return f"{100 * estimate.value:.1f} % ({100 * estimate.low:.1f} to {100 * estimate.high:.1f}) at {length}"
