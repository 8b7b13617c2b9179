"""`interp cross`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from interp.asking.options import Flag, Many, Output, Tasks, Which
from interp.terminal.console import check_output, emit, say

if TYPE_CHECKING:
    import pandas as pd

    from analyses import Running
    from training import HookedTransformer

COLUMNS = (
    "ablated", "heads", "scored", "shared", "effect", "low", "high", "share", "control_mean", "p", "q", "specificity",
    "specificity_p", "specificity_q",
)  # fmt: skip
"""What a person sees of the table."""

PAIR_COLUMNS = (
    "first", "first_heads", "second", "second_heads", "shared", "first_specificity", "second_specificity",
    "dissociation", "low", "high", "controls", "p", "p_both", "q_both",
)  # fmt: skip
"""What a person sees of the double dissociations."""


@Parameter(name="*")
@dataclass(frozen=True)
class Sets:
    """Which heads are ablated together, and what they are compared with."""

    k: int = 3
    """How many top heads of each task."""

    controls: int = 100
    """At most so many random sets of as many heads of the same layers, for each task."""

    bootstraps: int = 2_000
    """Bootstrap samples of the examples."""


def cross(
    run: str | None = None,
    /,
    *,
    tasks: Annotated[tuple[str, ...], Tasks] = (),
    pairs: Annotated[bool, Flag] = False,
    length: int | None = None,
    positions: Annotated[tuple[str, ...], Many] = ("all",),
    sets: Sets = Sets(),
    kind: Literal["zero", "mean", "mean_all", "resample", "counterfactual"] = "mean",
    metric: str = "accuracy",
    which: Which = Which(),
    output: Output = Output(),
) -> None:
    """Ablate each task's top heads together and measure what every task loses, beside random heads of the same layers.

    Two examples:

    - `interp cross`
    - `interp cross demo --tasks shift copy --k 4 --metric nll --pairs`

    Args:
        run: A run's folder or name; the newest if left out.
        tasks: Two tasks or more; all that the run was trained on if left out.
        pairs: Show for every two tasks whether each one's heads cost it more than the other: double dissociation.
        length: The length of all examples; halfway between the tasks' longest trained lengths if left out.
        positions: Where: all, prompt, answer, or numbers of positions, from 0.
        kind: What takes the place of a head's output (see `interp ablate`).
        metric: accuracy, token_accuracy, nll, logit_difference or kl.
    """
    check_output(output)
    from analyses import CrossTaskAblation, CrossTaskEffects, double_dissociation
    from interp.asking.lengths import default_length
    from interp.measuring.keeping import kept
    from interp.measuring.tables import positions_of
    from training import load_run, named_generator

    analysis = CrossTaskAblation(sets.k, kind, metric, positions_of(positions), sets.controls, sets.bootstraps)
    loaded = load_run(run)
    chosen = [loaded.task(name) for name in tasks or [member.task.name for member in loaded.mixture]]
    task_heads = [loaded.task_head(task.name) for task in chosen]
    at = default_length(loaded) if length is None else length

    def compute(model: "HookedTransformer", running: "Running") -> "pd.DataFrame":
        generator = named_generator(which.seed, "cross")
        return analysis.effects(
            model, chosen, length=at, n=which.n, generator=generator, task_heads=task_heads, running=running
        ).examples()

    # All that the effects depend on: how often examples are drawn anew is not of it.
    about = {
        "k": sets.k,
        "controls": sets.controls,
        "kind": kind,
        "metric": metric,
        "positions": analysis.positions,
        "length": at,
    }
    table = kept(loaded, "cross-task", chosen, which, about=about, compute=compute)
    found = CrossTaskEffects.from_examples(table, bootstraps=sets.bootstraps)
    say(f"run: {loaded.path}")
    where = f"at length {at}, {kind} ablation, {metric}"
    if pairs:
        title = f"{loaded.name}: double dissociation {where}; > 0: each task's heads cost it more than the other"
        emit(double_dissociation(found), output, columns=PAIR_COLUMNS, title=title)
    else:
        title = f"{loaded.name}: top heads of each task {where}; effect > 0: the scored task needs them"
        emit(found.table(), output, columns=COLUMNS, title=title)
