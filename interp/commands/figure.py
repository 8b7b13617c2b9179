"""`interp figure`."""

from typing import TYPE_CHECKING

from interp.asking.figure_options import Asked, Look, Measure, Name, Special
from interp.terminal.console import say, show

if TYPE_CHECKING:
    from interp.figure_sources import Drawn


def figure(
    name: Name,
    source: str | None = None,
    /,
    *,
    look: Look = Look(),
    measure: Measure = Measure(),
    special: Special = Special(),
) -> None:
    """Draw a figure for a paper from what was trained, with its numbers as CSV beside it.

    Two examples:

    - `interp figure overlap demo --metric nll --format pdf`
    - `interp figure attention demo --heads 0.3 2.1`

    Args:
        name: Of a run or a study's model: accuracy-by-length (a study over seeds will do, too), ablation-maps, overlap,
            attention, circuit, primitives; of a sweep over training lengths: gap-grid; of a study over seeds
            (`interp study GROUP --seeds 5`): reuse; of nothing trained: theory. docs/figures.md shows them.
        source: The run, study or sweep, by name under `runs` or as a folder; the newest if left out.
    """
    asked = Asked(name, source, look, measure, special)
    asked.check()
    drawn = _draw(asked)
    _write(asked, drawn)


def _draw(asked: Asked) -> "Drawn":
    from interp import figure_sources

    sources = {
        "accuracy-by-length": figure_sources.accuracy,
        "gap-grid": figure_sources.gaps,
        "ablation-maps": figure_sources.ablation_maps,
        "overlap": figure_sources.overlap,
        "reuse": figure_sources.reuse,
        "attention": figure_sources.attention,
        "circuit": figure_sources.circuit,
        "primitives": figure_sources.primitives,
        "theory": figure_sources.theory,
    }
    return sources[asked.name](asked)


def _write(asked: Asked, drawn: "Drawn") -> None:
    """The figure, its numbers, and what draws it again."""
    from interp.paper import save_figure
    from training.files import write_whole

    path = asked.look.out or drawn.folder / "figures" / f"{asked.name}.{asked.look.format}"
    save_figure(drawn.figure, path, form=asked.look.format)
    tables = {"": drawn.table, **{f"-{name}": table for name, table in drawn.more.items()}}
    written = [
        write_whole(
            path.with_name(f"{path.stem}{ending}.csv"), lambda part, table=table: table.to_csv(part, index=False)
        )
        for ending, table in tables.items()
    ]
    if asked.look.json:
        print(drawn.table.to_json(orient="records", indent=1))
    else:
        rows = drawn.table.head(40)
        show(rows, columns=drawn.columns, title=drawn.title)
        if len(rows) < len(drawn.table):
            say(f"{len(rows)} of {len(drawn.table)} rows; the file has all of them")
    say(f"figure: {path}")
    for table in written:
        say(f"data: {table}")
    say(f"again: {asked.command(drawn.source)}")
