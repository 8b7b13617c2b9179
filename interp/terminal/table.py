"""A table as a terminal shows it: it fits the width, whole, with units in its heads and digits that mean something."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor, isfinite, log10
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

_UNITS = {"nll": "nats", "loss": "nats", "seconds": "s", "cut": "nats", "entropy": "nats"}
"""Units of columns that always have the same one."""

_METRIC_UNITS = {"nll": "nats", "kl": "nats", "logit_difference": "logits"}
"""Units of metrics; accuracies have none."""

_OF_THE_METRIC = ("clean", "ablated", "corrupted", "patched", "effect", "joint_effect", "first_effect", "second_effect",
                  "interaction", "chosen_effect", "specificity", "dissociation")  # fmt: skip
"""Columns in the unit of the table's metric."""

_OF_THE_ONE_BEFORE = ("stderr", "low", "high")
"""Ends of names of columns that get as many digits as the one before."""

_GAP = 2
"""Spaces between columns."""

_BREAKS = " _+/-,;:"
"""Signs behind which a text may be broken."""

_MISSING = "-"

_NARROW = 14
"""Where room is short, texts are broken down to so many columns, and no further."""


@dataclass(frozen=True)
class _Column:
    """A column as it is shown: every cell a text."""

    name: str
    head: str
    cells: tuple[str, ...]
    number: bool
    label: bool
    """Says what a row is about: repeated where a table is shown in parts."""

    @property
    def width(self) -> int:
        return max(_length(text) for text in (*self.head.split("\n"), *self.cells))


def laid_out(table: pd.DataFrame, *, columns: Sequence[str], width: int) -> tuple[str, list[Table]]:
    """A table in parts of at most some width, and a line about what all of its rows have in common.

    A head is shown as options name it, layer.head. What is tried, one after the other, until it fits: heads in one
    line; in several; columns with one value only in a line of their own; long texts broken; the columns in several
    parts, each with those that say what a row is about.
    """
    table, columns = _with_heads(table, list(columns))
    shown = _columns(table, columns)
    if _width(shown) <= width:
        return "", [_table(shown)]
    shown = [replace(column, head=_broken(column)) for column in shown]
    shared = [one for one in shown if len(table) > 1 and _is_shared(one, table)]
    if _width(shown) <= width or len(shared) == len(shown):
        shared = []
    shown = [column for column in shown if column not in shared]
    told = [column for column in shared if column.cells[0] != _MISSING]
    caption = ", ".join(f"{' '.join(column.head.split())} {column.cells[0]}" for column in told)
    return caption, [_table(part, width=width) for part in _parts(shown, width)]


def _is_shared(column: _Column, table: pd.DataFrame) -> bool:
    """Whether all rows have the same, and no measured number; or none has anything."""
    return set(column.cells) == {_MISSING} or (len(set(column.cells)) == 1 and not _is_float(table[column.name]))


def _with_heads(table: pd.DataFrame, columns: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """The table with layer and head in one column, where they stand side by side."""
    place = columns.index("head") if "head" in columns else 0
    if place == 0 or columns[place - 1] != "layer":
        return table, columns
    pairs = zip(table["layer"], table["head"], strict=True)
    heads = [
        None if pd.isna(layer) else f"{layer:.0f}" if pd.isna(head) else _name(layer, head) for layer, head in pairs
    ]
    return table.assign(head=pd.Series(heads, index=table.index, dtype=object)), [
        name for name in columns if name != "layer"
    ]


def _name(layer: object, head: object) -> str:
    """A head as options write it; missing ones elsewhere in a column have made numbers of it that have a point."""
    return ".".join(part if isinstance(part, str) else f"{part:.0f}" for part in (layer, head))


def _columns(table: pd.DataFrame, names: Sequence[str]) -> list[_Column]:
    found: list[_Column] = []
    labels = True
    digits = _digits_of(table, names)
    for name in names:
        values = table[name]
        labels = labels and not _is_float(values)
        number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        cells = tuple(_cell(value, digits=None if _is_chance(name) else digits.get(name, 3)) for value in values)
        found.append(_Column(name, _head(name, table), cells, number, labels))
    return found


def _digits_of(table: pd.DataFrame, names: Sequence[str]) -> dict[str, int]:
    """Digits behind the point of each column; a number's error and interval have as many as the number."""
    groups: list[list[str]] = []
    for name in names:
        if groups and name.endswith(_OF_THE_ONE_BEFORE):
            groups[-1].append(name)
        elif _is_float(table[name]):
            groups.append([name])
    return {name: _digits([value for one in group for value in table[one]]) for group in groups for name in group}


def _is_float(values: "pd.Series[Any]") -> bool:
    return pd.api.types.is_float_dtype(values)


def _head(name: str, table: pd.DataFrame) -> str:
    """A column's name in words, with its unit if it has one."""
    unit = _UNITS.get(name, "")
    if name in _OF_THE_METRIC and "metric" in table and table["metric"].nunique() == 1:
        unit = _METRIC_UNITS.get(str(table["metric"].iloc[0]), "")
    words = name if " " in name else name.replace("_", " ")
    return f"{words} ({unit})" if unit else words


def _broken(column: _Column) -> str:
    """The head in as many lines as keep it no wider than the cells, where words are short enough."""
    words = column.head.split()
    room = max(max(map(_length, column.cells), default=0), max(map(len, words), default=0))
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def _is_chance(name: str) -> bool:
    return name in ("p", "q") or name.startswith(("p_", "q_")) or name.endswith(("_p", "_q"))


def _cell(value: object, *, digits: int | None) -> str:
    if isinstance(value, float) and isfinite(value):
        value = value if digits is None or round(value, digits) else 0.0  # no minus before nothing
        return f"{value:.2g}" if digits is None or abs(value) >= 1e9 else f"{value:.{digits}f}"
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return _MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "".join(letter if letter.isprintable() else "?" for letter in str(value))  # nothing moves the cursor


def _digits(values: Sequence[object]) -> int:
    """Digits behind the point: the greatest value has three that count; fewer where all are round."""
    floats = [value for value in values if isinstance(value, float) and isfinite(value)]
    greatest = max(map(abs, floats), default=0.0)
    if 0 < greatest < 0.1:
        return min(6, 2 - floor(log10(greatest)))
    most = 1 if greatest >= 1000 else 3
    return next(
        (few for few in range(int(greatest < 100), most) if all(round(value, few) == value for value in floats)), most
    )


def _parts(columns: list[_Column], width: int) -> list[list[_Column]]:
    """The columns in parts that fit, as few as can be, and alike wide."""
    if _least(columns) <= width:
        return [columns]
    labels, rest = [one for one in columns if one.label], [one for one in columns if not one.label]
    if not rest or _least(labels) > 2 * width // 3:
        labels, rest = columns[:1], columns[1:]
    if not rest:
        return [columns]
    room = max(width - _least(labels) - _GAP, *map(_least_of, rest))
    count = len(_filled(rest, room))
    while room > max(map(_least_of, rest)) and len(_filled(rest, room - 1)) == count:
        room -= 1
    return [[*labels, *part] for part in _filled(rest, room)]


def _filled(columns: list[_Column], room: int) -> list[list[_Column]]:
    parts: list[list[_Column]] = [[]]
    for column in columns:
        if parts[-1] and _least([*parts[-1], column]) > room:
            parts.append([])
        parts[-1].append(column)
    return parts


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width for column in columns) + _GAP * (len(columns) - 1)


def _least(columns: Sequence[_Column]) -> int:
    """The width with texts broken."""
    return sum(_least_of(column) for column in columns) + _GAP * max(0, len(columns) - 1)


def _least_of(column: _Column) -> int:
    return column.width if column.number else min(column.width, _NARROW)


def _table(columns: Sequence[_Column], *, width: int | None = None) -> Table:
    shown = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0), header_style="bold")
    room = _rooms(columns, width)
    for column, wide in zip(columns, room, strict=True):
        justify = "right" if column.number else "left"
        shown.add_column(Text(column.head, justify=justify), justify=justify, no_wrap=True, min_width=wide)
    for row in zip(*(column.cells for column in columns), strict=True):
        shown.add_row(*(Text(_folded(text, wide)) for text, wide in zip(row, room, strict=True)))
    return shown


def _rooms(columns: Sequence[_Column], width: int | None) -> list[int]:
    """How wide each column is: where room is short, the widest texts give way first."""
    rooms = [column.width for column in columns]
    over = 0 if width is None else _width(columns) - width
    while over > 0:
        widest = max(range(len(rooms)), key=lambda place: rooms[place] - _least_of(columns[place]))
        if rooms[widest] <= _least_of(columns[widest]):
            break
        rooms[widest] -= 1
        over -= 1
    return rooms


def _folded(text: str, width: int) -> str:
    """A text in lines of at most some width, broken behind a space or a sign where there is one."""
    lines: list[str] = []
    while _length(text) > width:
        end = width
        while _length(text[:end]) > width:
            end -= 1
        places = range(end, end // 3, -1)
        broken = (place for signs in (" ", _BREAKS) for place in places if text[place - 1] in signs)
        end = next(broken, max(end, 1))
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return "\n".join([*lines, text])


def _length(text: str) -> int:
    return Text(text).cell_len
