"""Tables as LaTeX (booktabs), for papers."""

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",  # in LaTeX's own fonts these three are other signs
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}

_PROBABILITIES = re.compile(r"(.*_)?[pq](_.*)?")

_SMALLEST = 0.001
"""A probability below this is given as "< 0.001"."""

_MOST_DECIMALS = 6


def escaped(text: str) -> str:
    """Text as LaTeX shows it: its special characters escaped, line breaks as spaces, all others as they are (utf-8)."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))


def latex_table(table: "pd.DataFrame", *, columns: Sequence[str], title: str) -> str:
    r"""A `tabular` of some columns, to be read with `\input` between `\begin{table}` and its caption.

    Ends of an interval (`low` and `high`, `gap_low` and `gap_high`) stand in brackets behind the number that they
    belong to: the column of that name, else the nearest number to the left; with the digits that the interval's width
    deserves. Other numbers have three digits at the column's largest, probabilities two; what is missing is a dash.

    Args:
        table: The table.
        columns: The columns to show.
        title: What it is; stands in a comment.
    """
    ends = _intervals(table, columns)
    hidden = {name for pair in ends.values() for name in pair}
    shown = [name for name in columns if name not in hidden]
    cells = [_column(table, name, ends.get(name)) for name in shown]
    kinds = "".join("r" if _is_number(table[name]) else "l" for name in shown)
    head = _row([escaped(name.replace("_", " ")) for name in shown])
    rows = [_row(row) for row in zip(*cells, strict=True)]
    lines = [
        "% " + " ".join(title.split()),
        r"% In the document: \usepackage{booktabs}. In brackets: the ends of intervals.",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    r"""A line of the table: behind `\\` and a rule, LaTeX would take a "[" or "*" that comes first for their option."""
    guard = "{}" if cells[0].startswith(("[", "*")) else ""
    return guard + " & ".join(cells) + r" \\"


def _is_number(values: "pd.Series") -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(values) and not is_bool_dtype(values))


def _intervals(table: "pd.DataFrame", columns: Sequence[str]) -> dict[str, tuple[str, str]]:
    """For each number with an interval, the columns of its ends."""
    found: dict[str, tuple[str, str]] = {}
    for place, low in enumerate(columns):
        prefix, dash, end = low.rpartition("_")
        high = f"{prefix}{dash}high"
        if end != "low" or high not in columns:
            continue
        owners = [prefix, f"{prefix}_mean"] if prefix else _numbers_before(table, columns, place)
        owner = next((name for name in owners if name in columns and name not in found), None)
        if owner is not None:
            found[owner] = (low, high)
    return found


def _numbers_before(table: "pd.DataFrame", columns: Sequence[str], place: int) -> list[str]:
    """The numbers to the left, the nearest first; an error's size is none that an interval is of."""
    names = [name for name in columns[:place] if _is_number(table[name]) and not name.endswith("stderr")]
    return names[::-1]


def _column(table: "pd.DataFrame", name: str, ends: tuple[str, str] | None) -> list[str]:
    if not _is_number(table[name]):
        return [_words(value) for value in table[name]]
    values = [math.nan if value is None or str(value) == "<NA>" else float(value) for value in table[name]]
    if _PROBABILITIES.fullmatch(name):
        return [_probability(value) for value in values]
    if ends is None:
        decimals = _decimals(values)
        return [_number(value, decimals) for value in values]
    low, high = (table[end].astype(float).tolist() for end in ends)
    return [_with_interval(*row) for row in zip(values, low, high, strict=True)]


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    missing = value is None or str(value) == "<NA>" or (isinstance(value, float) and math.isnan(value))
    return "" if missing else escaped(str(value))


def _probability(value: float) -> str:
    if math.isnan(value):
        return "--"
    if value < _SMALLEST:
        return f"$<${_SMALLEST}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _with_interval(value: float, low: float, high: float) -> str:
    """The number and its interval, to two digits of the interval's half width."""
    if math.isnan(low) or math.isnan(high) or math.isinf(high - low):
        return _number(value, _decimals([value]))
    half = abs(high - low) / 2
    decimals = _places(half, digits=2) if half else _decimals([value, low])
    return f"{_number(value, decimals)} [{_number(low, decimals)}, {_number(high, decimals)}]"


def _decimals(values: Sequence[float]) -> int:
    """Decimals that give the largest of the values three digits; none if all are whole."""
    finite = [abs(value) for value in values if math.isfinite(value)]
    if all(value == round(value) for value in finite):
        return 0
    return _places(max(finite), digits=3)


def _places(size: float, *, digits: int) -> int:
    return min(_MOST_DECIMALS, max(0, digits - 1 - math.floor(math.log10(size))))


def _number(value: float, decimals: int) -> str:
    if math.isnan(value):
        return "--"
    if math.isinf(value):
        return r"$\infty$" if value > 0 else r"$-\infty$"
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "$-$")
