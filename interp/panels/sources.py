"""What stands behind a figure or table of the page: its numbers as CSV, and the commands that make it again."""

import csv
import io
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text cell that begins so is a formula to a spreadsheet."""


@dataclass(frozen=True)
class Source:
    """Where a figure comes from.

    Attributes:
        file: Name of the CSV file that the reader gets, without ending; one name, one table.
        table: Its numbers; an empty table has no file.
        commands: The commands that make it again, one a line.
    """

    file: str = ""
    table: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    commands: tuple[str, ...] = ()

    @property
    def has_data(self) -> bool:
        """Whether there is something to save."""
        return bool(self.file) and len(self.table) > 0

    @property
    def command(self) -> str:
        """The commands, one a line."""
        return "\n".join(self.commands)


def command(*parts: object) -> str:
    """A command line of these parts, quoted where a shell needs it; lists are spread."""
    flat: list[str] = []
    for part in parts:
        flat += [str(one) for one in part] if isinstance(part, list | tuple) else [str(part)]
    return shlex.join(flat)


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV: numbers with six significant digits, and no text that a spreadsheet would run as a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(str(name)) for name in table.columns])
    for row in table.itertuples(index=False):
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def csv_files(sources: Iterable[Source]) -> dict[str, str]:
    """The CSV of each source that has data, by its file's name."""
    return {source.file: csv_text(source.table) for source in sources if source.has_data}


def columns_of(table: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """The wanted columns that a table has, in their order."""
    return table[[name for name in wanted if name in table]]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    if value is None or value is pd.NA:
        return ""
    text = str(value)
    is_text = isinstance(value, str)
    return f"'{text}" if is_text and text.startswith(_FORMULA) else text
