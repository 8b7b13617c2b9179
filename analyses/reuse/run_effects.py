"""The effects of a run's heads on a task, kept with the run, so that any statistic of them needs no model again."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import pandas as pd

from analyses.ablation import HeadAblation
from analyses.effects import HeadEffects
from analyses.examples import AT_ONCE, Running
from analyses.journal import Journal
from analyses.metrics import Metric, get_metric
from analyses.store import result_path, stored_table
from tasks import Task
from training import Run, named_generator
from training.runs import Weights


@dataclass(frozen=True)
class Measured:
    """On what effects are measured.

    Attributes:
        length: The length of all examples.
        n: Examples, from the test stream.
        seed: Seeds them: tasks that read the same prompts get the same ones.
        step: The checkpoint; None is the last.
        weights: Which weights.
    """

    length: int
    n: int
    seed: int
    step: int | None = None
    weights: Weights = "averaged"


def run_effects(
    run: Run,
    task: Task,
    measured: Measured,
    *,
    ablation: HeadAblation,
    also: Sequence[str | Metric] = (),
    running: Running = AT_ONCE,
) -> list[HeadEffects]:
    """The effect of every single head on a task, in the ablation's metric and in `also`'s, kept in the run's `results`.

    Asked again it is read; when interrupted it goes on, unless `running` has a journal of its own.

    Args:
        run: The run.
        task: One of its tasks, or another that its vocabulary can speak.
        measured: On what.
        ablation: How; of all heads, singly.
        also: Further metrics, from the same passes.
        running: How the work is divided and followed.

    Raises:
        UnknownNameError: No such metric, or weights.
        InvalidValueError: As `HeadAblation`; no checkpoint of that step.
    """
    metrics = [get_metric(metric) for metric in (ablation.metric, *also)]
    names = [metric.name for metric in metrics]
    key = {
        "ablation": repr(ablation),
        "metrics": names,
        "task": task.key,
        "weights": run.digest(measured.step, weights=measured.weights),
        "length": measured.length,
        "n": measured.n,
        "seed": measured.seed,
        "version": version("interp-toolkit"),
    }
    folder, name = run.path / "results", f"effects-{task.name}"
    journal = running.journal or Journal(result_path(folder, name, key).with_suffix(".journal"))

    def compute() -> pd.DataFrame:
        found = ablation.effects(
            run.model(measured.step, weights=measured.weights), task, length=measured.length, n=measured.n,
            generator=named_generator(measured.seed, "ablation"), task_head=run.task_head(task.name), also=also,
            running=Running(running.token_budget, running.on_done, journal),
        )  # fmt: skip
        return pd.concat([one.examples() for one in found], ignore_index=True)

    table = stored_table(folder, name, key, compute)
    journal.remove()
    return [HeadEffects.from_examples(table[table["metric"] == metric]) for metric in names]
