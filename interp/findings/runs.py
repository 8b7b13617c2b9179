"""What single runs show when they are compared: accuracy by length, ablation maps, their overlap, configuration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from analyses import HeadAblation, HeadOverlap, Running
from analyses.effects import HeadEffects
from analyses.reuse.run_effects import Measured, run_effects
from interp.asking.lengths import default_length
from interp.asking.options import Which
from interp.measuring.keeping import kept
from interp.runs.several import runs_of
from tasks import InvalidValueError, same_prompts
from training import HookedTransformer, Run, evaluate, named_generator

MOST = 8
"""So many runs can be told apart on one page."""

METRICS = ("accuracy", "nll")
_WHICH = Which()


@dataclass(frozen=True)
class RunFindings:
    """One run of a comparison.

    Attributes:
        label: A letter, by which figures and tables call it.
        name: The name by which commands know it.
        tasks: Its tasks, the main one first.
        trained: The longest length of each in training.
        length: Where maps are made: halfway between the shortest and the longest of these.
        accuracy: `evaluate` of each task, averaged weights.
        ablation: `HeadEffects.table` of each task and metric.
        overlap: `HeadOverlap` of the main task with each other one, in each metric; empty with one task.
        settings: Its whole configuration, flat.
    """

    label: str
    name: str
    tasks: tuple[str, ...]
    trained: tuple[int, ...]
    length: int
    accuracy: pd.DataFrame
    ablation: pd.DataFrame
    overlap: pd.DataFrame
    settings: dict[str, object]


def run_findings(names: Sequence[str], *, on_stage: Callable[[str], object] = lambda _: None) -> list[RunFindings]:
    """Measures each of the runs that are named; what was measured before is read.

    Args:
        names: Runs, studies (their run with the auxiliary) or sweeps (all their runs of several tasks).
        on_stage: Told what is being measured.

    Raises:
        UnknownNameError: No such run.
        BrokenRunError: One of them is unfinished or damaged.
        InvalidValueError: A run named twice, more than `MOST` runs, or a run that can't be measured.
    """
    runs = runs_of(names)
    if len(runs) > MOST:
        raise InvalidValueError(
            f"one page compares at most {MOST} runs, got {len(runs)}; name fewer, for example {runs[0].name} and "
            f"{runs[1].name}"
        )
    found = []
    for place, run in enumerate(runs):
        on_stage(run.name)
        found.append(_of_run(run, "ABCDEFGH"[place]))
    return found  # fmt: skip


def _of_run(run: Run, label: str) -> RunFindings:
    effects = [_effects(run, member.task.name) for member in run.mixture]
    return RunFindings(
        label=label,
        name=run.name,
        tasks=tuple(member.task.name for member in run.mixture),
        trained=tuple(member.max_length for member in run.mixture),
        length=default_length(run),
        accuracy=_accuracy(run),
        ablation=pd.concat([one.table() for parts in effects for one in parts], ignore_index=True),
        overlap=_overlap(run, effects),
        settings=_flat(run.config.model_dump(mode="json")),
    )


def _accuracy(run: Run) -> pd.DataFrame:
    """Exact match of each task up to a quarter beyond the longest trained length, as `interp evaluate` measures it."""
    tasks = [member.task for member in run.mixture]
    longest = min(max(member.max_length for member in run.mixture) * 5 // 4, *(task.max_length for task in tasks))
    shortest = max(task.min_length for task in tasks)
    lengths = sorted({*range(shortest, longest + 1, max(1, longest // 10)), default_length(run), *(
        member.max_length for member in run.mixture
    )})  # fmt: skip

    def compute(model: HookedTransformer, _: Running) -> pd.DataFrame:
        tables = [
            evaluate(
                model, task, lengths=lengths, n=_WHICH.n, generator=named_generator(_WHICH.seed, "test", task.name),
                task_head=run.task_head(task.name),
            )
            for task in tasks
        ]  # fmt: skip
        return pd.concat(tables, ignore_index=True)

    return kept(run, "accuracy", tasks, _WHICH, about={"lengths": lengths}, compute=compute)


def _effects(run: Run, task: str) -> list[HeadEffects]:
    measured = Measured(default_length(run), _WHICH.n, _WHICH.seed)
    ablation = HeadAblation(kind="mean", metric=METRICS[0])
    return run_effects(run, run.task(task), measured, ablation=ablation, also=METRICS[1:])


def _overlap(run: Run, effects: Sequence[Sequence[HeadEffects]]) -> pd.DataFrame:
    """The main task's maps against each other task's."""
    tasks, length = [member.task for member in run.mixture], default_length(run)
    comparison = HeadOverlap(k=min(3, run.config.model.n_layers * run.config.model.n_heads))

    def compute(*_: object) -> pd.DataFrame:
        tables = [
            replace(
                comparison,
                resample="together" if same_prompts(tasks[0], other, length=length) else "separately",
            )(first, second, generator=named_generator(_WHICH.seed, "overlap", first.metric.name))
            for other, theirs in zip(tasks[1:], effects[1:], strict=True)
            for first, second in zip(effects[0], theirs, strict=True)
        ]  # fmt: skip
        return pd.concat(tables, ignore_index=True)

    if len(tasks) == 1:
        return pd.DataFrame()
    about = {"analysis": repr(comparison), "length": length, "metrics": METRICS}
    return kept(run, "overlap", tasks, _WHICH, about=about, compute=compute)


def _flat(values: object, before: str = "") -> dict[str, object]:
    """Nested settings by their dotted names."""
    if not isinstance(values, dict):
        return {before: values}
    return {
        key: value
        for name, item in values.items()
        for key, value in _flat(item, f"{before}.{name}" if before else str(name)).items()
    }
