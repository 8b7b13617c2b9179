"""Analyses of a run's tasks as the commands ask for them: with a bar for each task, and kept with the run."""

import re
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import pandas as pd
from torch import Generator

from analyses.examples import Running
from analyses.scopes import Positions, places_of
from interp.asking.lengths import default_length
from interp.asking.options import On, Which
from interp.measuring.keeping import kept
from tasks import InvalidValueError, Task
from training import HookedTransformer, Run, named_generator


@runtime_checkable
class Analysis(Protocol):
    """What all analyses of a model and a task have in common."""

    def __call__(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        length: int,
        n: int,
        generator: Generator,
        task_head: int,
        running: Running,
    ) -> pd.DataFrame:
        """The table."""
        ...


def measured(run: Run, analysis: Analysis, on: On, which: Which) -> pd.DataFrame:
    """An analysis of each task, kept in the run's results: asked again it is read, and when interrupted it goes on.

    All tasks draw from one generator state: tasks that read the same prompts get the same examples.
    """
    tasks = [run.task(name) for name in on.task or [member.task.name for member in run.mixture]]
    length = default_length(run) if on.length is None else on.length
    for task in tasks:
        _check(analysis, task, length)
    return pd.concat([_of_task(run, analysis, task, which, length=length) for task in tasks], ignore_index=True)


def _of_task(run: Run, analysis: Analysis, task: Task, which: Which, *, length: int) -> pd.DataFrame:
    def compute(model: HookedTransformer, running: Running) -> pd.DataFrame:
        return analysis(
            model, task, length=length, n=which.n, generator=named_generator(which.seed, "ablation"),
            task_head=run.task_head(task.name), running=running,
        )  # fmt: skip

    about, name = {"analysis": repr(analysis), "length": length}, f"{type(analysis).__name__}-{task.name}"
    return kept(run, name, [task], which, about=about, compute=compute)


def _check(analysis: Analysis, task: Task, length: int) -> None:
    """Raises what the examples of a task would raise, before the sweep of another task begins."""
    batch = task.sample(1, length=length, generator=named_generator(0, "check"), stream="test")
    positions = getattr(analysis, "positions", None)
    if positions is not None:
        places_of(positions, batch)


def strongest(table: pd.DataFrame, count: int, *, by: str) -> pd.DataFrame:
    """The rows of a table with the greatest values, of either sign, in a column; all, in their order, for count 0."""
    if not count or len(table) <= count:
        return table
    return table.loc[table[by].abs().sort_values(ascending=False, kind="stable").index[:count]]


def positions_of(texts: Sequence[str]) -> Positions:
    """Positions as options name them: `all`, `prompt`, `answer`, or numbers.

    Raises:
        InvalidValueError: Anything else.
    """
    if len(texts) == 1 and texts[0] in ("all", "prompt", "answer"):
        return texts[0]
    if texts and all(re.fullmatch(r"\d+", text) for text in texts):
        return tuple(int(text) for text in texts)
    raise InvalidValueError(
        f"positions {' '.join(texts)!r} are unknown; allowed are all, prompt, answer, or numbers such as 0 1 2"
    )
