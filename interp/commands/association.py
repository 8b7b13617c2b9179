"""`interp association`."""

from typing import TYPE_CHECKING, Annotated

from interp.asking.options import Flag, Output
from interp.terminal.console import check_output, counting, emit, say

if TYPE_CHECKING:
    import pandas as pd

    from analyses import ReuseOverTraining
    from training import Run

COLUMNS = (
    "auxiliary", "quantity", "metric", "outcome", "seeds", "spearman", "expected", "detrended", "detrended_low",
    "detrended_high", "p", "q", "seeds_p",
)  # fmt: skip
"""What a person sees."""

NOTE = (
    "spearman: of the raw series; detrended, p and q: without the line from start to end, against circular shifts; "
    "seeds_p: against the reuse of one seed beside the transfer of another"
)

LEADS = ("auxiliary", "quantity", "metric", "seeds", "reuse_step", "accuracy_step", "lead", "low", "high", "p", "lag")
"""What a person sees with --leads."""

LEADS_NOTE = (
    "lead: steps from the rise of reuse to that of accuracy, and lag: checkpoints; above 0 where reuse comes first"
)


def association(
    *runs: str,
    leads: Annotated[bool, Flag] = False,
    trajectories: Annotated[bool, Flag] = False,
    n: int = 128,
    k: int = 3,
    weights: str = "averaged",
    draws: int = 10_000,
    seed: int = 0,
    output: Output = Output(),
) -> None:
    """Follow reuse of heads and transfer over training, checkpoint by checkpoint: do they go together, which is first?

    Two examples:

    - `interp association demo`
    - `interp association runs/reuse --leads --out leads.csv`

    Args:
        runs: Runs that differ in their seed, by folder or name; a sweep's name stands for its runs of several tasks,
            each configuration being pooled by itself. The newest run if left out.
        leads: Show which of the two rises first instead.
        trajectories: Give the measurements themselves: a row per run, checkpoint and quantity.
        n: Examples per ablation map.
        k: Size of the sets of top heads.
        weights: averaged, raw, or averaged-DECAY.
        draws: Random shifts for the p-values of all seeds together.
        seed: Seeds them.
    """
    check_output(output)
    import pandas as pd

    from analyses import ReuseOverTraining
    from analyses import association as associate
    from analyses import leads as find_leads
    from interp.runs.several import alike, runs_of
    from tasks import InvalidValueError
    from training import named_generator

    if leads and trajectories:
        raise InvalidValueError("--leads and --trajectories ask for two tables; name one of them")
    reuse = ReuseOverTraining(n=n, k=k, weights=weights)
    loaded = runs_of(runs)
    if not leads and not trajectories:
        _check_checkpoints(loaded)
    paths = [_followed(reuse, part) for part in alike(loaded)]
    if trajectories:
        columns = ["run", "step", "quantity", "metric", "value"]
        emit(pd.concat(paths, ignore_index=True), output, columns=columns, title="reuse and transfer over training")
        return
    tables: list[pd.DataFrame] = []
    for path in paths:
        found = (
            find_leads(path) if leads else associate(path, draws=draws, generator=named_generator(seed, "association"))
        )
        tables.append(found.assign(run=path["run"].iloc[0]))  # the first of its runs tells configurations apart
    table = pd.concat(tables, ignore_index=True)
    one_seed = table.groupby("run")["level"].transform("nunique") == 1
    say(LEADS_NOTE if leads else NOTE)
    columns = [*(["run"] if len(paths) > 1 else []), *(LEADS if leads else COLUMNS)]
    title = "reuse of heads and transfer over training, all seeds of a configuration together"
    emit(table, output, columns=columns, title=title, shown=table[(table["level"] == "pooled") | one_seed])


def _check_checkpoints(runs: "list[Run]") -> None:
    """Raises InvalidValueError, before anything is measured, where a run has too few checkpoints to tell anything."""
    from analyses.statistics.shifts import FEWEST
    from tasks import InvalidValueError

    for run in runs:
        if len(run.steps) < FEWEST:
            raise InvalidValueError(
                f"run {run.name!r} has {len(run.steps)} checkpoints, too few to compare with shifts of them; name runs "
                f"with {FEWEST} or more, or ask for --leads"
            )


def _followed(reuse: "ReuseOverTraining", runs: "list[Run]") -> "pd.DataFrame":
    import pandas as pd

    with counting() as bar:
        return pd.concat([reuse(run, on_step=bar(run.name)) for run in runs], ignore_index=True)
