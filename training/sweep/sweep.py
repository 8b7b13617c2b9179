"""A sweep: the cells of a grid, each trained once, and what was measured in all of them as one table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tasks import InterpError, InvalidValueError
from training.files import write_json, write_table
from training.finding import SWEEP
from training.keeping import Progress
from training.run_config import FORMAT
from training.runs import PARTIAL, STUDY
from training.sweep.cells import Cell
from training.sweep.engine import Engine, Job, Watcher
from training.sweep.grid import Grid
from training.sweep.serial import Serial
from training.sweep.table import cells_table, results_table
from training.train import train

_SERIAL, _SILENT = Serial(), Watcher()


@dataclass(frozen=True)
class SweepResult:
    """What became of a sweep.

    Attributes:
        folder: The sweep's folder, with a run in it for each configuration.
        cells: The grid's cells.
        status: A row for each cell: the axes' values, `run`, `status` (finished, failed or impossible) and `error`.
        table: What was measured in the finished cells while they were trained: the axes' values, `run`, and the columns
            of `Run.metrics`.
    """

    folder: Path
    cells: tuple[Cell, ...]
    status: pd.DataFrame
    table: pd.DataFrame


def run_sweep(grid: Grid, folder: Path | str, *, engine: Engine = _SERIAL, watcher: Watcher = _SILENT) -> SweepResult:
    """Trains a grid's cells into `folder/CELL`, and gathers what was measured.

    A cell's folder is named by its configuration: cells with equal ones are one run, finished ones are taken as they
    are (also if the grid has grown since), and interrupted ones go on from their last checkpoint. A cell that fails
    leaves the others alone. The tables are written to the folder as `results.parquet` and `cells.parquet`; with the
    same number of threads they are the same to the bit, whatever the engine.

    Args:
        grid: What to train.
        folder: The sweep's folder.
        engine: What trains the cells.
        watcher: Is told what becomes of them; a cell's name in it is that of its folder.

    Raises:
        UnknownNameError: The grid names a key, group or preset that does not exist.
        InvalidValueError: A cell is impossible, and the grid does not say to skip it; or the folder holds a run or a
            study, or cannot be written.
        InterpError: The engine cannot work.
    """
    cells, folder = grid.cells(), Path(folder)
    check_folder(folder, kind="sweep")
    write_json(folder / SWEEP, {"format": FORMAT, "grid": grid.model_dump(mode="json")})
    try:
        errors = train_cells(cells, folder, engine=engine, watcher=watcher)
        status = cells_table(cells, grid.axes, folder, errors)
        table = results_table(cells, grid.axes, folder, errors)
        write_table(folder / "cells.parquet", status)
        write_table(folder / "results.parquet", table)
    finally:
        if [path.name for path in folder.iterdir()] == [SWEEP]:  # it ended before anything was kept
            (folder / SWEEP).unlink()
            folder.rmdir()
    return SweepResult(folder, cells, status, table)


def train_cells(
    cells: Sequence[Cell], folder: Path, *, engine: Engine = _SERIAL, watcher: Watcher = _SILENT
) -> dict[str, Exception | None]:
    """Trains cells into `folder/CELL`: a run for each configuration, as `run_sweep` does it, and no table.

    Finished runs are taken as they are, interrupted ones go on, one that fails leaves the others alone. Impossible
    cells are left out.

    Args:
        cells: What to train.
        folder: The folder of the runs.
        engine: What trains them.
        watcher: Is told what becomes of them.

    Returns:
        For each run, by its folder's name, its error; None if it is finished.

    Raises:
        InterpError: The engine cannot work.
    """
    record = _Record(watcher)
    jobs = {cell.name: Job(cell.name, cell.config, folder / cell.name) for cell in cells if cell.config}
    waiting = [job for job in jobs.values() if not _is_finished(job, record)]
    if waiting:
        engine(waiting, record)
    return record.errors


def check_folder(folder: Path, *, kind: str) -> None:
    """Raises InvalidValueError if runs of that kind cannot be kept there.

    Args:
        folder: The folder; it need not exist.
        kind: What will be in it, in one word: a folder that holds a run, a study or a sweep can hold nothing else.
    """
    for file, what in (("config.json", "run"), (STUDY, "study"), (SWEEP, "sweep")):
        if what != kind and (folder / file).exists():
            raise InvalidValueError(f"{str(folder)!r} holds a {what}, not a {kind}; choose another name")
    if folder.name.endswith(PARTIAL):
        raise InvalidValueError(
            f"{str(folder)!r} ends in {PARTIAL!r}, which marks unfinished runs; choose another name"
        )


def cell_states(cells: Sequence[Cell], folder: Path) -> list[str]:
    """How each cell stands, by its folder: finished, interrupted, waiting; or impossible."""

    def state(cell: Cell) -> str:
        if cell.config is None:
            return "impossible"
        path = folder / cell.name
        interrupted = path.with_name(path.name + PARTIAL).is_dir()
        return "finished" if path.is_dir() else "interrupted" if interrupted else "waiting"

    return [state(cell) for cell in cells]


class _Record(Watcher):
    """Remembers how jobs ended, and passes on what it is told.

    Attributes:
        errors: For each job that has ended, its error.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self.errors: dict[str, Exception | None] = {}

    def started(self, name: str) -> None:
        self._watcher.started(name)

    def progressed(self, name: str, progress: Progress) -> None:
        self._watcher.progressed(name, progress)

    def ended(self, name: str, error: Exception | None) -> None:
        self.errors[name] = error
        self._watcher.ended(name, error)


def _is_finished(job: Job, record: Watcher) -> bool:
    """Whether a job has ended already: its run is there, or cannot be read."""
    if not job.path.exists():
        return False
    try:
        _ = train(job.config, job.path).metrics
    except InterpError as error:
        record.ended(job.name, error)
    else:
        record.ended(job.name, None)
    return True
