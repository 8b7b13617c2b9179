"""`interp overlap`."""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from interp.asking.options import Output, Tasks, Which
from interp.terminal.console import check_output, counting, emit, say

if TYPE_CHECKING:
    import pandas as pd

    from analyses import HeadAblation, HeadEffects, HeadOverlap
    from tasks import Task
    from training import Run


@Parameter(name="*")
@dataclass(frozen=True)
class Compared:
    """How maps are compared."""

    k: int = 3
    """Size of the sets of top heads."""

    permutations: int = 10_000
    """Shuffles per null."""

    bootstraps: int = 500
    """Bootstrap samples of the examples."""

    persistence: float = 0.9
    """Of rank-biased overlap, between 0 and 1: the greater, the more the lower ranks count."""


def overlap(
    *runs: str,
    tasks: Annotated[tuple[str, ...], Tasks] = (),
    length: int | None = None,
    kind: Literal["zero", "mean", "mean_all", "resample", "counterfactual"] = "mean",
    metric: str = "accuracy",
    compared: Compared = Compared(),
    which: Which = Which(),
    output: Output = Output(),
) -> None:
    """Compare the ablation maps of every two tasks, against heads shuffled freely and within layers.

    Two examples:

    - `interp overlap`
    - `interp overlap demo --tasks shift copy --metric nll --k 5`

    Args:
        runs: A run's folder or name; the newest if left out. Several runs that differ in their seed, or a sweep of
            such, are compared over seeds.
        tasks: Two tasks or more; all that the run was trained on if left out.
        length: The length of all examples; halfway between the tasks' longest trained lengths if left out.
        kind: What takes the place of a head's output (see `interp ablate`).
        metric: accuracy, token_accuracy, nll, logit_difference or kl.
    """
    check_output(output)
    from analyses import HeadAblation, HeadOverlap
    from interp.asking.lengths import default_length
    from interp.runs.several import alike, runs_of
    from tasks import InvalidValueError

    comparison = HeadOverlap(
        compared.k, compared.permutations, compared.bootstraps, persistence=compared.persistence
    )  # fmt: skip
    loaded = runs_of(runs)
    if len(alike(loaded)) > 1:
        raise InvalidValueError(
            f"the {len(loaded)} runs differ in more than their seed; name runs of one configuration, as in one sweep"
        )
    names = tasks or tuple(member.task.name for member in loaded[0].mixture)
    if len(names) < 2 or len(set(names)) < len(names):
        raise InvalidValueError(
            f"overlap compares different tasks, two or more, got {' '.join(names)}; name them, as in --tasks shift copy"
        )
    at = default_length(loaded[0]) if length is None else length
    chosen = [loaded[0].task(name) for name in names]
    for task in chosen:
        task.check_length(at)
    _check_heads(loaded[0], comparison)
    ablation = HeadAblation(kind=kind, metric=metric)
    maps = _measured(loaded, names, ablation, which, length=at)
    table = _table(comparison, chosen, maps, which.seed)
    columns = ["measure", "null", "estimate", "corrected", "low", "high", "null_mean", "p"]
    shown = columns if len(names) == 2 else ["first", "second", *columns, "q"]  # of one comparison, q is p
    seeds = f", {len(loaded)} seeds" if len(loaded) > 1 else ""
    title = f"{loaded[0].name}: {' and '.join(names)} at length {at}, {kind} ablation, {metric}{seeds}"
    for run in loaded:
        say(f"run: {run.path}")
    emit(table, output, columns=shown, title=title)


def _check_heads(run: "Run", comparison: "HeadOverlap") -> None:
    """Raises InvalidValueError before anything is measured."""
    from tasks import InvalidValueError

    heads = run.config.model.n_layers * run.config.model.n_heads
    if comparison.k > heads:
        raise InvalidValueError(f"k = {comparison.k} top heads of {heads}; allowed are 1 to {heads}")


def _measured(
    runs: "list[Run]", names: tuple[str, ...], ablation: "HeadAblation", which: Which, *, length: int
) -> "list[list[HeadEffects]]":
    """The effects on each task in each run, kept with the runs."""
    from analyses import Running
    from analyses.reuse.run_effects import Measured, run_effects

    measured = Measured(length, which.n, which.seed, which.step, which.weights)
    with counting() as bar:
        return [
            [
                run_effects(run, run.task(name), measured, ablation=ablation, running=Running(on_done=bar(name)))[0]
                for name in names
            ]
            for run in runs
        ]


def _table(
    comparison: "HeadOverlap", tasks: "list[Task]", maps: "list[list[HeadEffects]]", seed: int
) -> "pd.DataFrame":
    """Every two tasks; examples are drawn together where both read the same prompts."""
    import pandas as pd

    from analyses import benjamini_hochberg
    from tasks import same_prompts
    from training import named_generator

    tables: list[pd.DataFrame] = []
    for one, other in combinations(range(len(tasks)), 2):
        matched = same_prompts(tasks[one], tasks[other], length=maps[0][0].length)
        chosen = replace(comparison, resample="together" if matched else "separately")
        generator = named_generator(seed, "overlap", maps[0][0].metric.name)
        pairs = [(effects[one], effects[other]) for effects in maps]
        found = (
            chosen.over_seeds(pairs, generator=generator) if len(pairs) > 1 else chosen(*pairs[0], generator=generator)
        )
        tables.append(found)
    table = pd.concat(tables, ignore_index=True)
    return benjamini_hochberg(table, within=["measure", "null"])
