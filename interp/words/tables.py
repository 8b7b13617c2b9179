"""Tables of the report page: the numbers behind its figures, and the settings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pandas import DataFrame

from interp.words.intervals import wilson


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
    rows = tuple((name.replace("_", " "), setting(value)) for name, value in settings.items())
    return DataTable(headers=("setting", "value"), rows=rows)


def number(value: float, decimals: int = 3) -> str:
    """A signed number as tables show it: "+0.120", "−0.031", "0.000"; "not defined" for NaN."""
    if value != value:
        return "not defined"
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def interval(value: float, ends: tuple[float, float], *, decimals: int = 2) -> str:
    """A signed number with its interval, "+0.73 (+0.52 to +0.95)"; without one where it is not defined."""
    text, (low, high) = number(value, decimals), ends
    return text if low != low or high != high else f"{text} ({number(low, decimals)} to {number(high, decimals)})"


def _interval(accuracy: float, n: float) -> str:
    estimate = wilson(accuracy, n)
    if not estimate.defined:
        return "not defined"
    return f"{100 * estimate.value:.1f} % ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def setting(value: object) -> str:
    """A setting's value as text: long numbers in groups of three, lists and settings within with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "not defined" if math.isnan(value) else f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(setting, value))
    if isinstance(value, dict):
        parts = [f"{name} {setting(part)}" for name, part in value.items()]
        return "none" if value.get("kind") == "none" else ", ".join(parts)
    return str(value)
