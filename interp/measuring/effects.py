"""Ablation effects of a run's tasks as the commands ask for them, with a bar for each task."""

from collections.abc import Sequence

from analyses import HeadAblation, HeadEffects
from analyses.examples import Running
from interp.asking.options import Which
from interp.terminal.console import counting
from tasks import Task
from training import Run, named_generator


def head_effects(
    run: Run, ablation: HeadAblation, tasks: Sequence[Task], *, length: int, which: Which
) -> list[HeadEffects]:
    """The effects on each task. All draw from one generator state: tasks that read the same prompts get the same."""
    model = run.model(which.step, weights=which.weights)
    with counting() as bar:
        return [
            ablation.effects(
                model, task, length=length, n=which.n, generator=named_generator(which.seed, "ablation"),
                task_head=run.task_head(task.name), running=Running(on_done=bar(task.name)),
            )[0]
            for task in tasks
        ]  # fmt: skip
