"""Tables of the report page: the numbers behind its figures, and the settings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pandas import DataFrame

from interp.intervals import wilson


@dataclass(frozen=True)
class DataTable:
    """A table as text; the first cell of each row names the row. Names may stand in backticks."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def accuracy_table(table: DataFrame, *, weights: str) -> DataTable:
    """Exact match with its 95 % Wilson interval: one row per length, one column per model and task.

    Args:
        table: `StudyResults.accuracy`.
        weights: Which weights to show.
    """
    mine = table[table["weights"] == weights]
    columns = list(dict.fromkeys(zip(mine["condition"], mine["task"], strict=True)))
    cells = {
        (row["condition"], row["task"], row["length"]): _interval(float(row["accuracy"]), float(row["n"]))
        for row in mine.to_dict("records")
    }
    lengths = sorted(mine["length"].unique())
    return DataTable(
        headers=("length", *(f"{task} ({_MODELS.get(condition, condition)})" for condition, task in columns)),
        rows=tuple((str(length), *(cells.get((*column, length), "") for column in columns)) for length in lengths),
    )


_MODELS = {"auxiliary": "model with auxiliary", "alone": "model trained alone", "control": "model with control"}


def settings_table(settings: Mapping[str, object]) -> DataTable:
    """The settings, in their own order."""
    rows = tuple((name.replace("_", " "), _setting(value)) for name, value in settings.items())
    return DataTable(headers=("setting", "value"), rows=rows)


def _interval(accuracy: float, n: float) -> str:
    estimate = wilson(accuracy, n)
    if not estimate.defined:
        return "not defined"
    return f"{100 * estimate.value:.1f} % ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "not defined" if math.isnan(value) else f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value))
    return str(value)
