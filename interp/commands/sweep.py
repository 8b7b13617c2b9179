"""`interp sweep`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from interp.asking.engines import Engines, chosen_engine
from interp.asking.options import Flag, Output
from interp.terminal.console import check_output, emit, say, show

if TYPE_CHECKING:
    from training.sweep import Engine, Grid


def sweep(
    grid: Path,
    /,
    *,
    name: str | None = None,
    dry_run: Annotated[bool, Flag] = False,
    engines: Engines = Engines(),
    output: Output = Output(),
) -> int:
    """Train every cell of a grid of configurations, and gather what was measured in one table.

    Two examples:

    - `interp sweep grid.toml --dry-run`
    - `interp sweep grid.toml --engine ray --address auto --out gap.parquet`

    Args:
        grid: A TOML file that says what is fixed and what is varied (docs/sweeps.md).
        name: The sweep's name under `runs`; the grid's if left out.
        dry_run: List the cells and how each stands, and train nothing.

    Returns:
        The exit code: 1 if a cell failed.
    """
    check_output(output)
    from training import read_grid
    from training.run_config import ROOT

    asked = read_grid(grid)
    folder = ROOT / (name or asked.name)
    chosen = chosen_engine(engines)
    if dry_run:
        _list(asked, folder, output)
        return 0
    return _run(asked, folder, chosen, output)


def _list(grid: "Grid", folder: Path, output: Output) -> None:
    from interp.terminal.sweep_table import counted
    from training.run_config import run_name
    from training.sweep.sweep import cell_states
    from training.sweep.table import axes_table

    cells = grid.cells()
    states = cell_states(cells, folder)
    table = axes_table(cells, grid.axes).assign(
        run=[run_name(folder / cell.name) if cell.config else "" for cell in cells],
        state=states,
        error=[cell.error for cell in cells],
    )
    title = f"sweep {folder.name}: {counted(Counter(states))}"
    emit(table, output, columns=[*grid.axes, "state", "error" if "impossible" in states else "run"], title=title)


def _run(grid: "Grid", folder: Path, engine: "Engine", output: Output) -> int:
    from interp.terminal.sweep_table import SweepMonitor, counted, headline
    from training import run_sweep

    monitor = SweepMonitor(grid.cells(), folder.name)
    with monitor.running():
        result = run_sweep(grid, folder, engine=engine, watcher=monitor)
    for cell, error in zip(result.cells, result.status["error"], strict=True):
        if error:
            say(f"{'failed' if cell.config else 'impossible'}: {cell.title or cell.name}: {error}")
    say(f"sweep: {folder} ({counted(Counter(result.status['status']))})")
    rows = headline(result)
    if output.json or output.out:
        columns = [*grid.axes, "step", "weights", "task", "length", "n", "accuracy", "stderr"]
        emit(result.table, output, columns=columns, title=f"sweep {folder.name}: exact match")
    elif len(rows):
        title = "exact match of the main task, averaged weights, end of training"
        show(rows, columns=[str(column) for column in rows], title=title)
    return int("failed" in set(result.status["status"]))
