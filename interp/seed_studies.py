"""A study over seeds as the command line runs it: a live table while it trains, tables and a figure at the end."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analyses.transfer.seed_study import SeedStudy, SeedStudyResults
from interp.console import counting, say, show
from interp.engines import Engines, chosen_engine
from interp.options import Form
from interp.paper import save_figure
from interp.paper.reuse import reuse_figure
from interp.sweep_table import SweepMonitor, tell_failures
from interp.sweep_values import fixed_values
from tasks import BrokenRunError
from training.files import read_table, write_table

TABLES = "tables"
"""The folder, in a study's, of the tables that were made of it."""

FIGURE = "reuse"


def seed_study(
    group: str, preset: str, seeds: Sequence[int], *, form: Form, settings: tuple[str, ...], checkpoints: int, n: int
) -> SeedStudy:
    """The study that the options name."""
    fixed = fixed_values(settings, form)
    return SeedStudy(group, preset, tuple(seeds), checkpoints=checkpoints, n=n, fixed=fixed)


def run_seed_study(study: SeedStudy, folder: Path, engines: Engines) -> int:
    """Trains, measures, writes the tables and the figure, and shows the headlines; what is done already is reused.

    Returns:
        The exit code: 1 if a run failed.
    """
    engine = chosen_engine(engines)
    monitor = SweepMonitor(study.grid.cells(), folder.name)
    with monitor.running():
        result = study.train(folder, engine=engine, watcher=monitor)
    if tell_failures(result):
        return 1
    with counting() as bar:
        results = study.measure(result, on_run=bar("measuring"))
    for name in (field.name for field in dataclasses.fields(results)):
        write_table(folder / TABLES / f"{name}.parquet", getattr(results, name))
    _show(study, results)
    save_figure(reuse_figure(results), folder / "figures" / f"{FIGURE}.svg", form="svg")
    say(f"tables: {folder / TABLES}")
    say(f"figure: {folder / 'figures' / f'{FIGURE}.svg'}")
    return 0


def read_results(folder: Path) -> SeedStudyResults:
    """The tables of a finished study over seeds.

    Raises:
        BrokenRunError: There are none, or one is damaged.
    """
    names = [field.name for field in dataclasses.fields(SeedStudyResults)]
    missing = [name for name in names if not (folder / TABLES / f"{name}.parquet").is_file()]
    if missing:
        raise BrokenRunError(
            f"{str(folder)!r} has no tables of a study over seeds; 'interp study GROUP --seeds 5' makes them"
        )
    return SeedStudyResults(**{name: read_table(folder / TABLES / f"{name}.parquet") for name in names})


def _show(study: SeedStudy, results: SeedStudyResults) -> None:
    gains = results.gains
    cell = study.grid.cells()[0]
    at = gains[(gains["weights"] == study.weights) & gains["length"].isin(cell.lengths)]
    seeds = len(study.seeds)
    show(
        at, columns=["contrast", "length", "first", "second", "gain", "low", "high", "p", "q"],
        title=f"{study.group}: exact match of {at['main'].iloc[0]}, {study.weights} weights, {seeds} seeds",
    )  # fmt: skip
    overlap = results.overlap
    shown = overlap[(overlap["null"] == "within_layer") & overlap["measure"].isin(("cosine", "jaccard"))]
    columns = [
        "condition",
        "second",
        "metric",
        "measure",
        "estimate",
        "corrected",
        "low",
        "high",
        "null_mean",
        "p",
        "q",
    ]
    show(shown, columns=columns, title=f"ablation maps at length {cell.lengths[1]}, against shuffles within layers")
    columns = ["condition", "auxiliary", "what", "spearman", "detrended", "detrended_low", "detrended_high", "p", "q"]
    title = "reuse and gap over training, all seeds together"
    show(headline_associations(results.association), columns=[*columns, "seeds_p"], title=title)


def headline_associations(table: pd.DataFrame) -> pd.DataFrame:
    """The pooled rows for the first paper's measures and two better behaved ones, against the gap."""
    chosen = [
        ("mean_absolute_difference", "accuracy", "map difference (accuracy)"),
        ("cosine", "nll", "map cosine (nll)"),
        ("attention_difference", "", "attention difference"),
        ("offset_cosine", "", "attention offsets, cosine"),
    ]
    parts = []
    for quantity, metric, what in chosen:
        rows = table[(table["quantity"] == quantity) & (table["metric"] == metric) & (table["outcome"] == "gap")]
        parts.append(rows[rows["level"] == "pooled"].assign(what=what))
    return pd.concat(parts, ignore_index=True)
