"""`interp evaluate`."""

from typing import Annotated

from interp.asking.options import Many, Output, Tasks, Which
from interp.terminal.console import check_output, emit, say


def evaluate(
    run: str | None = None,
    /,
    *,
    task: Annotated[tuple[str, ...], Tasks] = (),
    lengths: Annotated[tuple[int, ...], Many] = (),
    which: Which = Which(),
    output: Output = Output(),
) -> None:
    """Measure exact-match accuracy by length.

    Two examples:

    - `interp evaluate`
    - `interp evaluate demo --tasks shift --lengths 5 10 15 20 --json`

    Args:
        run: A run's folder or name; the newest if left out.
        task: The tasks; all that the run was trained on if left out.
        lengths: The lengths; a grid up to a quarter beyond the longest trained one if left out.
    """
    check_output(output)
    import pandas as pd

    from training import evaluate as evaluate_task
    from training import load_run, named_generator

    loaded = load_run(run)
    names = task or tuple(member.task.name for member in loaded.mixture)
    tasks = [loaded.task(name) for name in names]
    longest = max(member.max_length for member in loaded.mixture) * 5 // 4
    longest, shortest = min(longest, *(one.max_length for one in tasks)), max(one.min_length for one in tasks)
    grid = lengths or tuple(range(shortest, longest + 1, max(1, longest // 10)))
    model = loaded.model(which.step, weights=which.weights)
    tables = [
        evaluate_task(
            model, one, lengths=grid, n=which.n, generator=named_generator(which.seed, "test", one.name),
            task_head=loaded.task_head(one.name),
        )
        for one in tasks
    ]  # fmt: skip
    table = pd.concat(tables, ignore_index=True).assign(weights=which.weights)
    columns = ["task", "length", "n", "accuracy", "stderr", "token_accuracy", "nll"]
    say(f"run: {loaded.path}")
    emit(table, output, columns=columns, title=f"{loaded.name}: exact match, {which.weights} weights")
