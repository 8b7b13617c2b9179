"""`interp lengths`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from interp.asking.options import Flag, Many, Output, Tasks, Which
from interp.terminal.console import check_output, emit, say

if TYPE_CHECKING:
    import pandas as pd

    from analyses import LengthEffects, LengthMaps, Running
    from tasks import Task
    from training import HookedTransformer, Run

COLUMNS = ("task", "zone", "lengths", "layer", "head", "clean", "effect", "low", "high", "q")
"""What a person sees of the maps."""

ONLY_COLUMNS = (
    "task", "layer", "head", "in_range", "in_range_high", "transfer", "difference", "low", "high", "q", "only",
)  # fmt: skip
"""What a person sees of the heads that are needed only at transfer."""


@Parameter(name="*")
@dataclass(frozen=True)
class Zones:
    """Where the zones of length end."""

    main_length: int | None = None
    """Longest length in range; the least of the tasks' longest trained lengths if left out."""

    auxiliary_length: int | None = None
    """Longest length at transfer; the greatest of the tasks' longest trained lengths if left out."""

    per_zone: int = 3
    """How many lengths of each zone are measured."""


def lengths(
    run: str | None = None,
    /,
    *,
    task: Annotated[tuple[str, ...], Tasks] = (),
    only: Annotated[bool, Flag] = False,
    positions: Annotated[tuple[str, ...], Many] = ("all",),
    zones: Zones = Zones(),
    kind: Literal["zero", "mean", "mean_all", "resample", "counterfactual"] = "mean",
    metric: str = "nll",
    top: int = 20,
    which: Which = Which(n=256),
    output: Output = Output(),
) -> None:
    """Ablate every head at lengths in range, at the lengths a task transfers to, and beyond them.

    Two examples:

    - `interp lengths`
    - `interp lengths demo --tasks shift --only --out lengths.csv`

    Args:
        run: A run's folder or name; the newest if left out.
        task: The tasks; all that the run was trained on if left out.
        only: Show which heads are needed at transfer and not in range.
        positions: Where: all, prompt, answer, or numbers of positions, from 0.
        kind: What takes the place of a head's output (see `interp ablate`).
        metric: accuracy, token_accuracy, nll, logit_difference or kl.
        top: How many rows are shown, those with the greatest effects first; 0 shows all, in their order.
    """
    check_output(output)
    import pandas as pd

    from analyses import LengthMaps, only_at_transfer
    from analyses.reuse.length_effects import zone_lengths
    from interp.measuring.tables import positions_of, strongest
    from training import load_run

    maps = LengthMaps(kind, metric, positions_of(positions), zones.per_zone)
    loaded = load_run(run)
    chosen = [loaded.task(name) for name in task or [member.task.name for member in loaded.mixture]]
    trained = [member.max_length for member in loaded.mixture]
    main = min(trained) if zones.main_length is None else zones.main_length
    auxiliary = max(trained) if zones.auxiliary_length is None else zones.auxiliary_length
    for one in chosen:
        zone_lengths(one, main_length=main, auxiliary_length=auxiliary, per_zone=maps.per_zone)
    found = [_effects(loaded, maps, one, (main, auxiliary), which) for one in chosen]
    table = pd.concat([only_at_transfer(one) if only else one.table() for one in found], ignore_index=True)
    say(f"run: {loaded.path}")
    what = "heads needed only at transfer" if only else f"in range to {main}, transfer to {auxiliary}, beyond"
    title = f"{loaded.name}: {what}, {kind} ablation, {metric}; effect > 0: the head helped"
    shown = strongest(table, top, by="transfer" if only else "effect")
    emit(table, output, columns=ONLY_COLUMNS if only else COLUMNS, title=title, shown=shown)


def _effects(run: "Run", maps: "LengthMaps", task: "Task", ends: tuple[int, int], which: Which) -> "LengthEffects":
    """The effects on a task, read from the run's results if they are there."""
    from analyses import LengthEffects
    from interp.measuring.keeping import kept
    from training import named_generator

    def compute(model: "HookedTransformer", running: "Running") -> "pd.DataFrame":
        return maps.effects(
            model, task, main_length=ends[0], auxiliary_length=ends[1], n=which.n,
            generator=named_generator(which.seed, "lengths"), task_head=run.task_head(task.name), running=running,
        ).examples()  # fmt: skip

    about = {"analysis": repr(maps), "main_length": ends[0], "auxiliary_length": ends[1]}
    return LengthEffects.from_examples(kept(run, f"lengths-{task.name}", [task], which, about=about, compute=compute))
