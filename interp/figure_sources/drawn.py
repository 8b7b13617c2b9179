"""A figure with all that goes beside it, and what the sources of figures share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analyses import HeadAblation, HeadEffects, Running
from analyses.reuse.run_effects import Measured, run_effects
from interp.asking.figure_options import Asked
from interp.asking.lengths import default_length
from interp.asking.options import Which
from interp.figures.heads import HeadMap, head_map
from interp.terminal.console import counting
from tasks import InvalidValueError
from training import Run, load_run


@dataclass(frozen=True)
class Drawn:
    """A figure, its numbers, and what a person sees of them.

    Attributes:
        figure: The figure.
        table: Its numbers.
        columns: The columns of them that a person sees.
        title: What they are.
        folder: Where what was measured is; the figure goes into `figures` there.
        source: What to name on the command line to draw it again.
        more: Further numbers, by the ending of their file's name.
    """

    figure: Figure
    table: pd.DataFrame
    columns: tuple[str, ...]
    title: str
    folder: Path
    source: str
    more: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def asked_run(asked: Asked) -> Run:
    """The run that is named; of a study its model with the auxiliary; the newest if none is named."""
    return load_run(asked.source)


def which(asked: Asked, *, n: int) -> Which:
    """Which weights and examples; n is what the figure takes by itself."""
    asks = asked.measure
    return Which(asks.step, asks.weights or "averaged", n if asks.n is None else asks.n, asks.seed or 0)


def length_of(asked: Asked, run: Run) -> int:
    """The length of the examples."""
    return default_length(run) if asked.measure.length is None else asked.measure.length


def tasks_of(asked: Asked, run: Run, *, most: int | None = None) -> list[str]:
    """The names of the tasks: those asked for, or the run's first ones."""
    names = list(asked.measure.tasks) or [member.task.name for member in run.mixture][:most]
    if len(set(names)) < len(names):
        raise InvalidValueError(f"tasks {' '.join(names)} name one twice; name each task once")
    return names


def two_tasks(asked: Asked, run: Run) -> tuple[str, str]:
    """The names of two tasks.

    Raises:
        InvalidValueError: Another number of tasks.
    """
    names = tasks_of(asked, run, most=2)
    if len(names) != 2:
        raise InvalidValueError(
            f"figure {asked.name!r} shows two tasks, got {' '.join(names)}; name two, as in --tasks shift copy"
        )
    return names[0], names[1]


def effects_of(run: Run, names: list[str], which: Which, *, length: int, metric: str) -> list[HeadEffects]:
    """The mean-ablation effects of every head on each task, kept with the run as `interp overlap` keeps them."""
    ablation = HeadAblation(kind="mean", metric=metric)
    for name in names:
        run.task(name).check_length(length)
    measured = Measured(length, which.n, which.seed, which.step, which.weights)
    with counting() as bar:
        return [
            run_effects(run, run.task(name), measured, ablation=ablation, running=Running(on_done=bar(name)))[0]
            for name in names
        ]


def maps_of(effects: list[HeadEffects]) -> tuple[list[HeadMap], pd.DataFrame]:
    """The effects as maps, and their table."""
    table = pd.concat([one.table() for one in effects], ignore_index=True)
    return [head_map(table, task=one.task, metric=one.metric.name) for one in effects], table
