"""Analyses of a run's tasks as the commands ask for them: with a bar for each task, and kept with the run."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Protocol, runtime_checkable

import pandas as pd
from torch import Generator

from analyses.examples import Running
from analyses.journal import Journal
from analyses.scopes import Positions, places_of
from analyses.store import result_path, stored_table
from interp.console import counting
from interp.lengths import default_length
from interp.options import On, Which
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
    name, folder = type(analysis).__name__, run.path / "results"
    tasks = [run.task(name) for name in on.task or [member.task.name for member in run.mixture]]
    length = default_length(run) if on.length is None else on.length
    for task in tasks:
        _check(analysis, task, length)
    tables = []
    with counting() as bar:
        for task in tasks:
            key = {
                "analysis": repr(analysis),
                "task": task.key,
                "weights": run.digest(which.step, weights=which.weights),
                "length": length,
                "n": which.n,
                "seed": which.seed,
                "version": version("interp-toolkit"),
            }
            journal = Journal(result_path(folder, f"{name}-{task.name}", key).with_suffix(".journal"))
            running = Running(on_done=bar(task.name), journal=journal)

            def compute(task: Task = task, running: Running = running) -> pd.DataFrame:
                return analysis(
                    run.model(which.step, weights=which.weights), task, length=length, n=which.n,
                    generator=named_generator(which.seed, "ablation"), task_head=run.task_head(task.name),
                    running=running,
                )  # fmt: skip

            tables.append(stored_table(folder, f"{name}-{task.name}", key, compute))
            journal.remove()
    return pd.concat(tables, ignore_index=True)


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
