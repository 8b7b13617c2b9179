"""`interp primitives`."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from interp.asking.options import Flag, Many, Output, Tasks, Which
from interp.terminal.console import check_output, emit, say

if TYPE_CHECKING:
    import pandas as pd

    from analyses import Primitives, Running
    from tasks import Task
    from training import HookedTransformer, Run


def primitives(
    run: str | None = None,
    /,
    *,
    tasks: Annotated[tuple[str, ...], Tasks] = (),
    names: Annotated[tuple[str, ...], Many, Parameter(name="--primitives")] = (),
    shared: Annotated[bool, Flag] = False,
    length: int | None = None,
    permutations: int = 5_000,
    level: float = 0.05,
    top: int = 20,
    which: Which = Which(n=256),
    output: Output = Output(),
) -> None:
    """Find the heads that implement primitives: copy, min, successor and their kin.

    Two examples:

    - `interp primitives`
    - `interp primitives demo --tasks copy shift --shared`

    Args:
        run: A run's folder or name; the newest if left out.
        tasks: The tasks; all that the run was trained on if left out.
        names: The primitives; all that apply to each task if left out.
        shared: Show the heads that implement the same primitive in both of two tasks.
        length: The length of all examples; halfway between the tasks' longest trained lengths if left out.
        permutations: Draws of each null.
        level: The false discovery rate over heads and primitives of a task.
        top: How many rows are shown, those with the most evidence first; 0 shows all, in their order.
    """
    check_output(output)
    import pandas as pd

    from analyses import Primitives, shared_primitives
    from analyses.primitives.registry import primitives_of
    from interp.asking.lengths import default_length
    from tasks import InvalidValueError
    from training import load_run

    analysis = Primitives(names, permutations=permutations, level=level)
    loaded = load_run(run)
    chosen = [loaded.task(name) for name in tasks or [member.task.name for member in loaded.mixture]]
    if shared and len(chosen) != 2:
        raise InvalidValueError(f"--shared is about two tasks, got {len(chosen)}; name two, as in --tasks copy shift")
    at = default_length(loaded) if length is None else length
    for task in chosen:
        primitives_of(task, names)
        task.check_length(at)
    tables = [_of_task(loaded, analysis, task, which, length=at) for task in chosen]
    say(f"run: {loaded.path}")
    if shared:
        table = shared_primitives(tables)
        title = f"{loaded.name}: heads that implement the same primitive in both tasks at length {at}"
        columns = ["primitive", "layer", "head", "first", "second", "first_effect", "second_effect", "shared", "p"]
        emit(table, output, columns=columns, title=title)
        return
    table = pd.concat(tables, ignore_index=True)
    columns = [
        "task", "primitive", "layer", "head", "verdict", "share", "write_tokens", "write_values", "effect", "cut", "q",
    ]  # fmt: skip
    title = f"{loaded.name}: primitives at length {at}; share and write in [0, 1], effect and cut in nats"
    emit(table, output, columns=columns, title=title, shown=_strongest(table, top))


def _of_task(run: "Run", analysis: "Primitives", task: "Task", which: Which, *, length: int) -> "pd.DataFrame":
    """A task's table, kept in the run's results."""
    from interp.measuring.keeping import kept
    from training import named_generator

    def compute(model: "HookedTransformer", running: "Running") -> "pd.DataFrame":
        return analysis(
            model, task, length=length, n=which.n, generator=named_generator(which.seed, "primitives"),
            task_head=run.task_head(task.name), running=running,
        )  # fmt: skip

    about = {"analysis": repr(analysis), "length": length}
    return kept(run, f"primitives-{task.name}", [task], which, about=about, compute=compute)


def _strongest(table: "pd.DataFrame", top: int) -> "pd.DataFrame":
    """The rows with the strongest verdicts, of one verdict those with the greatest effects; all in order for 0."""
    from analyses.primitives.verdict import VERDICTS

    if not top:
        return table
    order = table.assign(place=table["verdict"].map(VERDICTS.index), loss=-table["effect"])
    return table.loc[order.sort_values(["place", "loss"], kind="stable").index[:top]]
