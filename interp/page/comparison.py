"""The page of several runs beside each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interp.figures.ablation_maps import ablation_maps
from interp.figures.accuracy_of_groups import accuracy_of_groups
from interp.figures.heads import metric_name
from interp.figures.lines import Line
from interp.figures.style import RUNS, plain
from interp.findings.runs import RunFindings
from interp.page.data import page_data
from interp.page.html import render, write_html
from interp.page.study_sources import ABLATION
from interp.panels.panel import Panel, panel
from interp.panels.sources import Source, columns_of, command
from interp.words.comparison import (
    chosen_metrics,
    described,
    differences_table,
    heads_note,
    overlap_comparison,
    run_maps,
    summary_table,
)
from interp.words.intervals import wilson

_DASHES = ("solid", "dash")


def write_comparison(runs: Sequence[RunFindings], path: Path) -> Path:
    """Writes the page of several runs; as `write_page`, self-contained, and the same bytes for the same findings.

    Raises:
        InvalidValueError: The file can't be written.
    """
    return write_html(render_comparison(runs), path)


def render_comparison(runs: Sequence[RunFindings]) -> str:
    """The page as HTML text; see `write_comparison`."""
    return render("comparison.html", _context(runs), patterns=False)


def _context(runs: Sequence[RunFindings]) -> dict[str, Any]:
    sources, metrics = _sources(runs), chosen_metrics(runs)
    sections = {
        "by_length": _accuracy_panels(runs, source=sources["accuracy"]),
        "maps": [
            panel(
                f"maps-{place}",
                metric_name(metric),
                alt=f"Heat maps by layer and head of each run and task: {metric_name(metric)}.",
                figure=ablation_maps([one for run in runs for one in run_maps(run, metric=metric)], metric=metric),
                source=sources["ablation"],
            )
            for place, metric in enumerate(metrics)
        ],
    }
    return {
        "title": f"{len(runs)} runs · interp report",
        "runs": runs,
        "described": [described(run) for run in runs],
        "summary": summary_table(runs, metric=metrics[0]),
        "heads_note": heads_note(metrics[0]),
        "differences": differences_table(runs),
        "overlaps": [(metric_name(metric), overlap_comparison(runs, metric=metric)) for metric in metrics],
        "sections": sections,
        "sources": sources,
        "command": sources["all"].command,
        "data": page_data([panel for part in sections.values() for panel in part], sources.values()),
    }


def _accuracy_panels(runs: Sequence[RunFindings], *, source: Source) -> list[Panel]:
    """One panel per task, the main tasks first; one line per run."""
    tasks = dict.fromkeys([*(run.tasks[0] for run in runs), *(task for run in runs for task in run.tasks)])
    panels: list[Panel] = []
    for task in tasks:
        lines = [_line(run, task, place) for place, run in enumerate(runs) if task in run.tasks]
        trained = sorted({run.trained[run.tasks.index(task)] for run in runs if task in run.tasks})
        marks = [(longest, f"trained to {longest}") for longest in trained]
        figure = accuracy_of_groups(lines, (), marks=marks, title="exact match (% of examples)")
        alt = f"Line chart: exact match of {task} by length, one line per run; numbers in the data."
        panels.append(panel(f"by-length-{len(panels)}", task, alt=alt, figure=figure, source=source))
    return panels


def _line(run: RunFindings, task: str, place: int) -> Line:
    rows = run.accuracy[run.accuracy["task"] == task].sort_values("length")
    estimates = [wilson(float(a), float(n)) for a, n in zip(rows["accuracy"], rows["n"], strict=True)]
    others = [plain(name, 16) for name in run.tasks if name != task]
    name = f"{run.label}, {'with ' + ', '.join(others) if others else 'alone'}"
    ends = [one.low for one in estimates], [one.high for one in estimates]
    values = rows["length"].tolist(), [one.value for one in estimates]
    return Line(name, RUNS[place % len(RUNS)], *values, *ends, dash=_DASHES[place // len(RUNS) % 2])


def _sources(runs: Sequence[RunFindings]) -> dict[str, Source]:
    whole = (command("interp", "report", [run.name for run in runs]),)
    ablation = columns_of(_together(runs, "ablation"), ("run", *ABLATION))
    return {
        "all": Source(commands=whole),
        "accuracy": Source("accuracy-by-length", _together(runs, "accuracy"), whole),
        "ablation": Source("head-ablation", ablation, whole),
        "overlap": Source("overlap", _together(runs, "overlap"), whole),
    }


def _together(runs: Sequence[RunFindings], name: str) -> pd.DataFrame:
    tables = [getattr(run, name).assign(run=run.label) for run in runs]
    table = pd.concat([one for one in tables if len(one)] or [pd.DataFrame()], ignore_index=True)
    return table[["run", *(column for column in table if column != "run")]] if len(table) else table
