"""The data of `interp figure gap-grid`: the generalization gap of each run of a sweep over training lengths."""

from pathlib import Path

import pandas as pd

from analyses.transfer.gap import GeneralizationGap, gap_grid
from interp.asking.figure_options import Asked
from interp.figure_sources.drawn import Drawn
from interp.paper import gap_grid_figure, paper_gaps
from interp.terminal.console import counting
from tasks import InvalidValueError
from training import Run
from training.finding import find_sweep, sweep_runs
from training.run_config import run_name


def gaps(asked: Asked) -> Drawn:
    """The gap for each pair of lengths, mean over seeds."""
    folder, asks = find_sweep(asked.source), asked.measure
    measure = GeneralizationGap(n=256 if asks.n is None else asks.n, weights=asks.weights or "averaged")
    runs = [run for run in sweep_runs(folder) if len(run.mixture) > 1]
    table = gap_grid(pd.DataFrame(_measured(measure, runs, folder)))
    main, others = (runs[0].mixture[0].task.name, ", ".join(one.task.name for one in runs[0].mixture[1:]))
    grids = [(f"{main} with {others}", table)]
    if asked.special.paper:
        grids.append(("addition with carry parts (paper)", paper_gaps()))
    columns = ("main_length", "auxiliary_length", "gap", "low", "high", "seeds")
    width = asked.look.width or ("column" if len(grids) == 1 else "page")
    title = f"generalization gap, {grids[0][0]}"
    return Drawn(gap_grid_figure(grids, width=width), table, columns, title, folder, run_name(folder))


def _measured(measure: GeneralizationGap, runs: list[Run], folder: Path) -> list[dict[str, object]]:
    if not runs:
        raise InvalidValueError(
            f"sweep {folder.name!r} has no finished run of a main task with an auxiliary, so there is no gap to show; "
            "vary main_length and auxiliary_length in the grid"
        )
    found: list[dict[str, object]] = []
    with counting() as bar:
        tell = bar("measuring")
        for run in runs:
            found.append(measure(run))
            tell(len(found), len(runs))
    return found
