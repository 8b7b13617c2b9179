"""A study over seeds as the command line runs it: a live table while it trains, then tables, a figure and a page."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analyses.transfer.seed_study import SeedStudy, SeedStudyResults
from interp.asking.engines import Engines, chosen_engine
from interp.asking.options import Form
from interp.asking.sweep_values import fixed_values
from interp.findings.extras import Missing
from interp.findings.seeds import TABLES, read_results, seed_findings
from interp.page import write_seeds
from interp.paper import save_figure
from interp.paper.reuse import reuse_figure
from interp.terminal.console import counting, say, show
from interp.terminal.sweep_table import SweepMonitor, tell_failures
from training.files import write_table
from training.run_config import ROOT, run_name

__all__ = ["TABLES", "read_results", "report_seeds", "run_seed_study", "seed_study"]

FIGURE = "reuse"


def seed_study(
    group: str, preset: str, seeds: Sequence[int], *, form: Form, settings: tuple[str, ...], checkpoints: int, n: int
) -> SeedStudy:
    """The study that the options name."""
    fixed = fixed_values(settings, form)
    return SeedStudy(group, preset, tuple(seeds), checkpoints=checkpoints, n=n, fixed=fixed)


def run_seed_study(study: SeedStudy, folder: Path, engines: Engines) -> int:
    """Trains, measures, writes tables, figure and page, and shows the headlines; what is done already is reused.

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
    say(f"page: {report_seeds(folder)}")
    say(f"tables: {folder / TABLES}")
    say(f"figure: {folder / 'figures' / f'{FIGURE}.svg'}")
    return 0


def report_seeds(folder: Path, *, missing: Missing = "leave", out: Path | None = None) -> Path:
    """Writes the page of a study over seeds from what it left in its folder.

    Args:
        folder: The study's folder.
        missing: Whether primitives are measured if they are missing.
        out: The page's file; `folder/report.html` if left out.

    Raises:
        BrokenRunError: The folder has no tables of such a study.
    """
    name = run_name(folder, ROOT)
    findings = seed_findings(folder, name, missing=missing, on_stage=lambda stage: say(f"{stage} ..."))
    return write_seeds(findings, out or folder / "report.html")


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
