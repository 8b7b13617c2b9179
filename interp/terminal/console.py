"""What a person sees: tables, lines and progress bars. Human text goes to stderr, results to stdout."""

import os
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from interp.asking.options import Output

if TYPE_CHECKING:
    import pandas as pd

    from training import Progress

_ENDINGS = (".parquet", ".csv", ".tex")

_WIDE = 10_000
"""Columns of a page that is no terminal: nothing is cut off or wrapped there."""


def say(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    print(text, file=sys.stderr)


def check_output(output: Output) -> None:
    """Refuses an output path that can't be written, before any long work begins.

    Raises:
        InvalidValueError: Another ending than .parquet, .csv or .tex, a folder, or a place that can't be written.
    """
    path = output.out
    if path is None:
        return
    from tasks import InvalidValueError

    if path.suffix not in _ENDINGS:
        raise InvalidValueError(f"cannot tell the format of {str(path)!r}; its name must end in .parquet, .csv or .tex")
    try:
        if path.is_dir():
            raise InvalidValueError(f"{str(path)!r} is a folder; name a file that ends in .parquet, .csv or .tex")
        tempfile.TemporaryFile(dir=next(place for place in path.absolute().parents if place.exists())).close()
    except OSError as error:
        raise InvalidValueError(
            f"cannot write {str(path)!r}: {error.strerror or error}; choose another place"
        ) from None


def emit(
    table: "pd.DataFrame",
    output: Output,
    *,
    columns: Sequence[str],
    title: str,
    shown: "pd.DataFrame | None" = None,
) -> None:
    """Shows a table, or writes it as the options say.

    Args:
        table: The result, written whole by `--json` and `--out`.
        output: The options.
        columns: The columns that a person sees.
        title: Stands above the table.
        shown: The rows that a person sees, if not all of them.
    """
    if output.out is not None:
        rows = table if shown is None or output.out.suffix != ".tex" else shown
        _write(rows, output.out, columns=columns, title=title)
        say(f"written: {output.out}")
        if len(rows) < len(table):
            say(f"{len(rows)} of {len(table)} rows; .csv or .parquet holds all of them")
    if output.json:
        print(table.to_json(orient="records", indent=1))
    elif output.out is None:
        rows = table if shown is None else shown
        show(rows, columns=columns, title=title)
        if len(rows) < len(table):
            say(f"{len(rows)} of {len(table)} rows; --json or --out gives all of them")


@contextmanager
def tables_aside(output: Output) -> Generator[bool, None, None]:
    """Sends what is shown to stderr, where the options want a table printed or written; whether they do."""
    if output.json or output.out is not None:
        with redirect_stdout(sys.stderr):
            yield True
    else:
        yield False


def show(table: "pd.DataFrame", *, columns: Sequence[str], title: str) -> None:
    """Prints some columns of a table for a person: whole, and no wider than the terminal."""
    from rich.console import Console
    from rich.text import Text

    from interp.terminal.table import laid_out

    # A COLUMNS that was exported is a wish, also where stdout is no terminal.
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE)
    caption, parts = laid_out(table, columns=columns, width=console.width)
    for line in (title, caption):
        if line:
            console.print(Text(line, style="italic"))
    if not len(table):
        console.print("nothing")
        return
    for place, part in enumerate(parts):
        if place:
            console.print()
        console.print(part)


def _write(table: "pd.DataFrame", path: Path, *, columns: Sequence[str], title: str) -> None:
    """Writes all columns of a table, or, for LaTeX, those that a person sees."""
    from training.files import write_table, write_whole

    if path.suffix == ".csv":
        write_whole(path, lambda part: table.to_csv(part, index=False))
    elif path.suffix == ".tex":
        from interp.terminal.latex import latex_table

        text = latex_table(table, columns=columns, title=title)
        write_whole(path, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))
    else:
        write_table(path, table)


class Monitor:
    """Progress bars of training runs: steps, loss, time left. Off a terminal, a line every tenth of a run."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._console = Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._ids: dict[str, object] = {}
        self._tenths: dict[str, int] = {}

    @contextmanager
    def running(self) -> Generator["Monitor", None, None]:
        """Shows the bars while the block runs."""
        with self._bars:
            yield self

    def __call__(self, name: str, progress: "Progress") -> None:
        """Takes note of where a run stands."""
        if name not in self._ids:
            self._ids[name] = self._bars.add_task(name, total=progress.steps, loss="")
        loss = "-" if progress.loss != progress.loss else f"{progress.loss:.3f}"
        self._bars.update(self._ids[name], completed=progress.step, loss=loss)  # pyright: ignore[reportArgumentType]
        tenth = 10 * progress.step // progress.steps
        if not self._console.is_terminal and tenth > self._tenths.get(name, -1):
            self._tenths[name] = tenth
            say(f"{name}: step {progress.step} of {progress.steps}, loss {loss}")


@contextmanager
def counting() -> Generator[Callable[[str], Callable[[int, int], None]], None, None]:
    """Bars for work that counts itself: `bar(name)` is called with what is done and what is to do in all."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=(console := Console(stderr=True)), disable=not console.is_terminal, transient=True) as bars:

        def bar(name: str) -> Callable[[int, int], None]:
            place = bars.add_task(name)
            return lambda done, total: bars.update(place, completed=done, total=total)

        yield bar
