"""`interp figure`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from interp.console import counting, say, show
from interp.options import Flag

if TYPE_CHECKING:
    from analyses.transfer.gap import GeneralizationGap
    from training import Run


def figure(
    name: Literal["gap-grid"],
    source: str | None = None,
    /,
    *,
    format_: Annotated[Literal["svg", "pdf", "png"], Parameter(name="--format")] = "svg",
    out: Path | None = None,
    json: Annotated[bool, Flag] = False,
    n: int = 256,
    weights: str = "averaged",
    paper: Annotated[bool, Flag] = False,
) -> None:
    """Draw a figure for a paper from what was trained, with its numbers as CSV beside it.

    Examples: `interp figure gap-grid`, `interp figure gap-grid gap --paper --format pdf`

    Args:
        name: gap-grid: the generalization gap for each pair of training lengths in a sweep, mean over its seeds.
        source: The sweep, by name under `runs` or as a folder; the newest if left out.
        format_: Vector (svg, pdf) or pixels (png, 300 per inch).
        out: The file; SWEEP/figures/gap-grid.FORMAT if left out.
        json: Print the numbers to stdout as JSON records, too.
        n: Test examples per task and length.
        weights: Which weights: averaged, raw, or averaged-DECAY.
        paper: Show the first paper's table beside.
    """
    import pandas as pd

    from analyses.transfer.gap import GeneralizationGap, gap_grid
    from interp.paper import gap_grid_figure, paper_gaps, save_figure
    from training.files import write_whole
    from training.finding import find_sweep, sweep_runs

    folder = find_sweep(source)
    runs = [run for run in sweep_runs(folder) if len(run.mixture) > 1]
    table = gap_grid(pd.DataFrame(_gaps(GeneralizationGap(n=n, weights=weights), runs, folder)))
    main, others = (runs[0].mixture[0].task.name, ", ".join(one.task.name for one in runs[0].mixture[1:]))
    grids = [(f"{main} with {others}", table)]
    if paper:
        grids.append(("addition with carry parts (paper)", paper_gaps()))
    path = out or folder / "figures" / f"{name}.{format_}"
    save_figure(gap_grid_figure(grids), path, form=format_)
    data = write_whole(path.with_suffix(".csv"), lambda part: table.to_csv(part, index=False))
    if json:
        print(table.to_json(orient="records", indent=1))
    else:
        columns = ["main_length", "auxiliary_length", "gap", "low", "high", "seeds"]
        show(table, columns=columns, title=f"generalization gap, {grids[0][0]}")
    say(f"figure: {path}")
    say(f"data: {data}")


def _gaps(measure: "GeneralizationGap", runs: "list[Run]", folder: Path) -> list[dict[str, object]]:
    from tasks import InvalidValueError

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
