"""The data of `interp figure primitives`, and the primitives that circuits name."""

import pandas as pd

from analyses import Primitives, Running
from analyses.primitives.registry import primitives_of
from interp.asking.figure_options import Asked
from interp.asking.options import Which
from interp.figure_sources.drawn import Drawn, asked_run, length_of, tasks_of, which
from interp.measuring.keeping import kept
from interp.paper import primitives_figure
from training import HookedTransformer, Run, named_generator

N = 256
"""Examples that primitives are located on, as `interp primitives` does."""


def primitives(asked: Asked) -> Drawn:
    """Which layers' heads implement which primitive, in each task that has any."""
    run = asked_run(asked)
    length, measured = length_of(asked, run), which(asked, n=N)
    table = located(run, tasks_of(asked, run), measured, length=length)
    figure = primitives_figure(table, width=asked.look.width or "page")
    columns = ("task", "primitive", "layer", "head", "verdict", "share", "mass", "effect", "cut", "q")
    return Drawn(figure, table, columns, f"{run.name}: primitives at length {length}", run.path, run.name)


def located(run: Run, names: list[str], which: Which, *, length: int) -> pd.DataFrame:
    """`Primitives`' tables of some tasks, kept with the run where `interp primitives` keeps them."""
    for name in names:
        primitives_of(run.task(name))
        run.task(name).check_length(length)
    return pd.concat([_of_task(run, name, which, length=length) for name in names], ignore_index=True)


def _of_task(run: Run, name: str, which: Which, *, length: int) -> pd.DataFrame:
    analysis, task = Primitives(), run.task(name)

    def compute(model: HookedTransformer, running: Running) -> pd.DataFrame:
        return analysis(
            model, task, length=length, n=which.n, generator=named_generator(which.seed, "primitives"),
            task_head=run.task_head(name), running=running,
        )  # fmt: skip

    about = {"analysis": repr(analysis), "length": length}
    return kept(run, f"primitives-{name}", [task], which, about=about, compute=compute)
