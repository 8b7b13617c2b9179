"""A sweep as one watches it: a live table of its cells, or a line for whatever happens; and what came of it."""

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from interp.terminal.console import say
from training import Progress, SweepResult, Watcher
from training.sweep import Cell
from training.sweep.cells import shown
from training.sweep.table import error_text

_ORDER = ("training", "failed", "waiting", "finished", "impossible")
"""States, those that are shown first first, where a terminal has no room for all cells."""

_FRAME = 6
"""Lines of a terminal that the table's rows cannot have."""


@dataclass
class _State:
    """Where a run stands."""

    name: str = "waiting"
    progress: Progress | None = None

    @property
    def cells(self) -> tuple[str, str, str]:
        """State, steps and loss, as the table shows them."""
        if self.progress is None:
            return self.name, "", ""
        return self.name, f"{self.progress.step}/{self.progress.steps}", f"{self.progress.loss:.3f}"


class SweepMonitor(Watcher):
    """Shows where the cells of a sweep stand: on a terminal a live table, elsewhere a line when a cell begins or ends.

    Args:
        cells: The grid's cells; those of one configuration stand alike.
        name: The sweep's name.
    """

    def __init__(self, cells: Sequence[Cell], name: str) -> None:
        self._cells, self._name = cells, name
        self._states = {cell.name: _State("waiting" if cell.config else "impossible") for cell in cells}
        self._console = Console(stderr=True)

    @contextmanager
    def running(self) -> Generator[None, None, None]:
        """Shows the table while the block runs."""
        if not self._console.is_terminal:
            yield
            return
        with Live(get_renderable=self.table, console=self._console, refresh_per_second=4):
            yield

    def started(self, name: str) -> None:
        """Takes note that a run begins, or goes on."""
        self._states[name].name = "training"
        self._line(name, "training")

    def progressed(self, name: str, progress: Progress) -> None:
        """Takes note of where a run stands."""
        self._states[name].progress = progress

    def ended(self, name: str, error: Exception | None) -> None:
        """Takes note that a run has ended, well or not."""
        state = self._states[name]
        before = "finished before" if state.name == "waiting" else "finished"
        state.name = "failed" if error else "finished"
        self._line(name, f"failed: {error_text(error)}" if error else before)

    def table(self) -> Table:
        """The table as it stands: one row per cell, as many as the terminal has room for."""
        states = [self._states[cell.name] for cell in self._cells]
        counts = Counter(state.name for state in states)
        room = max(1, self._console.height - _FRAME)
        first = sorted(range(len(states)), key=lambda place: _ORDER.index(states[place].name))[:room]
        left_out = f"; {len(states) - room} more not shown" if len(states) > room else ""
        table = Table(
            title=Text(f"sweep {self._name}: {counted(counts)}{left_out}"), title_justify="left", header_style="bold"
        )
        for column in (*self._cells[0].values, "state", "step", "loss"):
            table.add_column(Text(column), no_wrap=True)
        for place in sorted(first):
            values = [shown(value) for value in self._cells[place].values.values()]
            table.add_row(*map(Text, (*values, *states[place].cells)))
        return table

    def _line(self, name: str, text: str) -> None:
        if not self._console.is_terminal:
            for cell in self._cells:
                if cell.name == name:
                    say(f"{cell.title or name}: {text}")


def counted(counts: Counter[str]) -> str:
    """How many cells stand how, in words."""
    return ", ".join(f"{counts[state]} {state}" for state in _ORDER if counts[state]) or "no cells"


def tell_failures(result: SweepResult) -> bool:
    """Says how the runs of a comparison ended; whether one of them failed, so that nothing can be compared."""
    for cell, error in zip(result.cells, result.status["error"], strict=True):
        if error:
            say(f"failed: {cell.title}: {error}")
    counts = Counter(result.status["status"])
    say(f"sweep: {result.folder} ({counted(counts)})")
    if counts["failed"]:
        say("nothing is compared, since that needs all runs; start the same command again to train what is missing")
    return counts["failed"] > 0


def headline(result: SweepResult) -> pd.DataFrame:
    """A row for each finished cell: the main task's exact match at its own, the transfer and the auxiliary's length."""
    table = result.table[result.table["weights"] == "averaged"]
    rows = []
    for cell, run in zip(result.cells, result.status["run"], strict=True):
        found = table[table["run"] == run]
        if cell.config is None or found.empty:
            continue
        task = cell.config.mixture[0].task
        at = found[(found["step"] == found["step"].max()) & (found["task"] == task)].drop_duplicates("length")
        accuracy = at.set_index("length")["accuracy"]
        places = ("longest of main", "transfer", "longest of auxiliary")
        values = [f"{accuracy[length]:.3f} at {length}" for length in cell.lengths]
        axes = {key: shown(value) for key, value in cell.values.items()}
        rows.append({**axes, "task": task, **dict(zip(places, values, strict=True))})
    return pd.DataFrame(rows)
