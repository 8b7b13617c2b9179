"""What runs hold besides a study's own tables: primitives, reuse over training, circuits, cross-task tests.

Primitives can be measured when they are missing, and are kept with the run; the rest is read if a command has made it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd

from analyses import (
    CircuitSearch,
    CrossTaskAblation,
    CrossTaskEffects,
    Primitives,
    ReuseOverTraining,
    Running,
    association,
    leads,
    shared_primitives,
)
from analyses.statistics.shifts import FEWEST
from interp.asking.lengths import default_length
from interp.asking.options import Which
from interp.measuring.keeping import found, kept
from tasks import InvalidValueError, Task
from training import HookedTransformer, Run, named_generator

Missing = Literal["measure", "leave"]
"""What becomes of primitives that were not measured yet: that takes a minute for two tasks and 36 heads."""

PRIMITIVES, CROSS, CIRCUIT = Which(n=256), Which(), Which(n=128)
"""Examples of the analyses, as their commands have them."""


@dataclass(frozen=True)
class Extras:
    """Tables that a page shows besides the study's own; an empty one was not made.

    Attributes:
        run: The name by which commands know the study or the run; empty if they can't know it.
        primitives: `Primitives` of each task, in one table.
        shared_primitives: `shared_primitives` of the main task and its first auxiliary.
        no_primitives: Why there are none, if measuring them was refused.
        trajectories: `ReuseOverTraining`.
        association: `association` of them.
        leads: `leads` of them.
        cross: `CrossTaskEffects.table`.
        circuit: `CircuitSearch` with `curve`, of all tasks that were searched.
        edges: `CircuitSearch` with `edges`, likewise.
    """

    run: str = ""
    primitives: pd.DataFrame = field(default_factory=pd.DataFrame)
    shared_primitives: pd.DataFrame = field(default_factory=pd.DataFrame)
    no_primitives: str = ""
    trajectories: pd.DataFrame = field(default_factory=pd.DataFrame)
    association: pd.DataFrame = field(default_factory=pd.DataFrame)
    leads: pd.DataFrame = field(default_factory=pd.DataFrame)
    cross: pd.DataFrame = field(default_factory=pd.DataFrame)
    circuit: pd.DataFrame = field(default_factory=pd.DataFrame)
    edges: pd.DataFrame = field(default_factory=pd.DataFrame)


NO_EXTRAS = Extras()


def extras_of(
    run: Run, name: str, *, missing: Missing = "leave", on_stage: Callable[[str], object] = lambda _: None
) -> Extras:
    """All that there is of one run.

    Args:
        run: The run.
        name: How commands know it.
        missing: Whether primitives are measured if they are missing.
        on_stage: Told what is being measured.
    """
    if missing == "measure":
        on_stage("primitives")
    extras = with_primitives(Extras(run=name), run, missing=missing)
    extras = replace(extras, **_over_training(run)) if len(run.mixture) > 1 else extras
    circuit, edges = (_circuit(run, CircuitSearch(show)) for show in ("curve", "edges"))
    return replace(extras, cross=_cross(run), circuit=circuit, edges=edges)


def with_primitives(extras: Extras, run: Run, *, missing: Missing = "leave") -> Extras:
    """The extras with the primitives of a run's tasks; with the reason instead, if the tasks allow none."""
    try:
        tables = [_primitives(run, member.task, missing=missing) for member in run.mixture]
        if not all(len(table) for table in tables):
            return extras
        shared = shared_primitives(tables[:2]) if len(tables) > 1 else pd.DataFrame()
    except InvalidValueError as error:
        return replace(extras, no_primitives=str(error))
    return replace(extras, primitives=pd.concat(tables, ignore_index=True), shared_primitives=shared)


def _primitives(run: Run, task: Task, *, missing: Missing) -> pd.DataFrame:
    """A task's table, kept in the run's results as `interp primitives` keeps it."""
    analysis, length = Primitives(), default_length(run)

    def compute(model: HookedTransformer, running: Running) -> pd.DataFrame:
        return analysis(
            model, task, length=length, n=PRIMITIVES.n, generator=named_generator(PRIMITIVES.seed, "primitives"),
            task_head=run.task_head(task.name), running=running,
        )  # fmt: skip

    about, name = {"analysis": repr(analysis), "length": length}, f"primitives-{task.name}"
    if missing == "leave":
        return found(run, name, [task], PRIMITIVES, about=about)
    return kept(run, name, [task], PRIMITIVES, about=about, compute=compute)


def _over_training(run: Run) -> dict[str, pd.DataFrame]:
    """Reuse and transfer over training, if `interp association` has followed all checkpoints."""
    maps = list((run.path / "results" / "over-training").glob("maps-*.parquet"))
    steps = {path.name.split("-")[1] for path in maps}
    if not steps or not {f"{step:07d}" for step in run.steps} <= steps:
        return {}
    path = ReuseOverTraining()(run)
    enough = len(run.steps) >= FEWEST
    together = association(path, generator=named_generator(0, "association")) if enough else pd.DataFrame()
    return {"trajectories": path, "association": together, "leads": leads(path)}


def _cross(run: Run) -> pd.DataFrame:
    """What `interp cross` finds without options, if it was measured."""
    tasks: Sequence[Task] = [member.task for member in run.mixture]
    analysis = CrossTaskAblation()
    about = {
        "k": analysis.k, "controls": analysis.controls, "kind": analysis.kind, "metric": analysis.metric,
        "positions": analysis.positions, "length": default_length(run),
    }  # fmt: skip
    table = found(run, "cross-task", tasks, CROSS, about=about)
    return CrossTaskEffects.from_examples(table, bootstraps=analysis.bootstraps).table() if len(table) else table


def _circuit(run: Run, search: CircuitSearch) -> pd.DataFrame:
    """What `interp circuit --show ...` finds without further options, of the tasks for which it was asked."""
    about = {"analysis": repr(search), "length": default_length(run)}
    tables = [
        found(run, f"CircuitSearch-{member.task.name}", [member.task], CIRCUIT, about=about) for member in run.mixture
    ]
    return pd.concat([table for table in tables if len(table)] or [pd.DataFrame()], ignore_index=True)
