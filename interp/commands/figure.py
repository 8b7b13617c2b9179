"""`interp figure`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from interp.console import counting, say, show
from interp.options import Flag

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from analyses.transfer.gap import GeneralizationGap
    from training import Run


@dataclass(frozen=True)
class _Drawn:
    """A figure, its numbers, and what a person sees of them."""

    figure: "Figure"
    table: "pd.DataFrame"
    columns: tuple[str, ...]
    title: str


def figure(
    name: Literal["gap-grid", "reuse"],
    source: str | None = None,
    /,
    *,
    format_: Annotated[Literal["svg", "pdf", "png"], Parameter(name="--format")] = "svg",
    out: Path | None = None,
    json: Annotated[bool, Flag] = False,
    n: int | None = None,
    weights: str | None = None,
    paper: Annotated[bool, Flag] = False,
) -> None:
    """Draw a figure for a paper from what was trained, with its numbers as CSV beside it.

    Examples: `interp figure gap-grid gap --paper --format pdf`, `interp figure reuse runs/copy-shift`

    Args:
        name: gap-grid: the generalization gap for each pair of training lengths in a sweep, mean over its seeds; reuse:
            transfer and reuse of heads in a study over seeds (`interp study GROUP --seeds 5`).
        source: The sweep, or the study over seeds, by name under `runs` or as a folder; the newest if left out.
        format_: Vector (svg, pdf) or pixels (png, 300 per inch).
        out: The file; SWEEP/figures/NAME.FORMAT if left out.
        json: Print the numbers to stdout as JSON records, too.
        n: Of gap-grid: test examples per task and length; 256 if left out.
        weights: Of gap-grid: which weights, averaged, raw, or averaged-DECAY; averaged if left out.
        paper: Of gap-grid: show the first paper's table beside.
    """
    from interp.paper import save_figure
    from tasks import InvalidValueError
    from training.files import write_whole
    from training.finding import find_sweep

    options = {"--n": n, "--weights": weights, "--paper": paper or None}
    given = [option for option, value in options.items() if value is not None]
    if name == "reuse" and given:
        raise InvalidValueError(
            f"{given[0]} goes with gap-grid; figure 'reuse' draws a study's own tables: leave it out"
        )
    folder = find_sweep(source)
    if name == "reuse":
        drawn = _reuse(folder)
    else:
        chosen = "averaged" if weights is None else weights
        drawn = _gap_grid(folder, n=256 if n is None else n, weights=chosen, paper=paper)
    path = out or folder / "figures" / f"{name}.{format_}"
    save_figure(drawn.figure, path, form=format_)
    data = write_whole(path.with_suffix(".csv"), lambda part: drawn.table.to_csv(part, index=False))
    if json:
        print(drawn.table.to_json(orient="records", indent=1))
    else:
        show(drawn.table, columns=drawn.columns, title=drawn.title)
    say(f"figure: {path}")
    say(f"data: {data}")


def _gap_grid(folder: Path, *, n: int, weights: str, paper: bool) -> _Drawn:
    import pandas as pd

    from analyses.transfer.gap import GeneralizationGap, gap_grid
    from interp.paper import gap_grid_figure, paper_gaps
    from training.finding import sweep_runs

    runs = [run for run in sweep_runs(folder) if len(run.mixture) > 1]
    table = gap_grid(pd.DataFrame(_gaps(GeneralizationGap(n=n, weights=weights), runs, folder)))
    main, others = (runs[0].mixture[0].task.name, ", ".join(one.task.name for one in runs[0].mixture[1:]))
    grids = [(f"{main} with {others}", table)]
    if paper:
        grids.append(("addition with carry parts (paper)", paper_gaps()))
    columns = ("main_length", "auxiliary_length", "gap", "low", "high", "seeds")
    return _Drawn(gap_grid_figure(grids), table, columns, f"generalization gap, {grids[0][0]}")


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


def _reuse(folder: Path) -> _Drawn:
    """The figure of a study over seeds; its numbers are the associations of all seeds together."""
    from interp.paper import reuse_figure
    from interp.seed_studies import read_results

    results = read_results(folder)
    table = results.association[results.association["level"] == "pooled"].reset_index(drop=True)
    columns = ("condition", "auxiliary", "quantity", "metric", "outcome", "spearman", "detrended", "p", "q")
    return _Drawn(reuse_figure(results), table, columns, f"{folder.name}: reuse and transfer over training")
