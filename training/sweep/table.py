"""What became of all cells of a sweep, as tidy tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tasks import InterpError
from training.finding import load_run
from training.run_config import run_name
from training.sweep.cells import Cell, shown

_METRICS = ("step", "weights", "task", "length", "n", "accuracy", "stderr", "token_accuracy", "nll", "loss")

_PLAIN = (bool, int, float, str)


def cells_table(
    cells: Sequence[Cell],
    axes: Mapping[str, Sequence[Any]],
    folder: Path,
    errors: Mapping[str, Exception | None],
) -> pd.DataFrame:
    """A row for each cell, in the grid's order.

    Columns: the axes; run (empty if it is impossible); status: finished, failed or impossible; error: empty if it is
    finished.
    """
    table = axes_table(cells, axes)
    table["run"] = [run_name(folder / cell.name) if cell.config else "" for cell in cells]
    texts = [cell.error or error_text(errors.get(cell.name)) for cell in cells]
    table["status"] = [
        "impossible" if cell.config is None else "failed" if text else "finished"
        for cell, text in zip(cells, texts, strict=True)
    ]
    return table.assign(error=texts)


def results_table(
    cells: Sequence[Cell],
    axes: Mapping[str, Sequence[Any]],
    folder: Path,
    errors: Mapping[str, Exception | None],
) -> pd.DataFrame:
    """What was measured in the finished cells: a row for each cell, step, weights, task and length.

    Columns: the axes; run; those of `Run.metrics`. Cells with one configuration have the same rows.
    """
    described = axes_table(cells, axes)
    tables = []
    for place, cell in enumerate(cells):
        if cell.config is None or errors.get(cell.name) is not None:
            continue
        metrics = load_run(folder / cell.name).metrics
        rows = described.iloc[[place] * len(metrics)].reset_index(drop=True)
        rows["run"] = run_name(folder / cell.name)
        tables.append(pd.concat([rows, metrics], axis=1))
    if not tables:
        return pd.DataFrame(columns=[*axes, "run", *_METRICS])
    return pd.concat(tables, ignore_index=True)


def axes_table(cells: Sequence[Cell], axes: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """A row for each cell with the values of the axes; as texts, where an axis has values of several kinds."""
    columns = {key: [cell.values[key] for cell in cells] for key in axes}
    for key, values in columns.items():
        kinds = {type(value) for value in values}
        if not (kinds == {int, float} or (len(kinds) == 1 and kinds < set(_PLAIN))):
            columns[key] = [shown(value) for value in values]  # a Parquet column holds values of one kind
    return pd.DataFrame(columns, index=range(len(cells)))


def error_text(error: Exception | None) -> str:
    """An error in one line; empty if there is none."""
    if error is None:
        return ""
    text = " ".join(str(error).split())
    return text if isinstance(error, InterpError) else f"a defect: {text}"
