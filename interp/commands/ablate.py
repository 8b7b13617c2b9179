"""`interp ablate`."""

from typing import Annotated, Literal

from interp.console import check_output, emit, say
from interp.options import Flag, Many, Output, Which


def ablate(
    run: str | None = None,
    /,
    *,
    heads: Annotated[tuple[str, ...], Many] = (),
    joint: Annotated[bool, Flag] = False,
    task: Annotated[tuple[str, ...], Many] = (),
    length: int | None = None,
    kind: Literal["zero", "mean", "mean_all"] = "mean",
    metric: str = "accuracy",
    which: Which = Which(),
    output: Output = Output(),
) -> None:
    """Ablate attention heads and measure what each task loses.

    Examples: `interp ablate --heads`, `interp ablate demo --heads 0.3 2.1 --joint --metric nll`

    Args:
        run: A run's folder or name; the newest if left out.
        heads: Heads as layer.head, counted from 0; every head, one at a time, if none is named.
        joint: Ablate the named heads together.
        task: The tasks; all that the run was trained on if left out.
        length: The length of all examples; halfway between the tasks' longest trained lengths if left out.
        kind: What takes the place of a head's output: zero, its mean over the batch at each position, or its mean over
            batch and positions.
        metric: accuracy, token_accuracy or nll.
    """
    check_output(output)
    import pandas as pd

    from analyses import Head, HeadAblation, get_metric
    from analyses.heads import check_heads
    from interp.effects import head_effects
    from interp.lengths import default_length
    from tasks import InvalidValueError
    from training import load_run

    get_metric(metric)
    chosen = tuple(Head.parse(head) for head in heads)
    if joint and not chosen:
        raise InvalidValueError("--joint needs the heads to ablate together; name them, as in --heads 0.3 2.1 --joint")
    loaded = load_run(run)
    check_heads(chosen, loaded.config.model)
    tasks = [loaded.task(name) for name in task or [member.task.name for member in loaded.mixture]]
    ablation = HeadAblation(kind=kind, metric=metric, heads=chosen, together="jointly" if joint else "singly")
    at = default_length(loaded) if length is None else length
    tables = [effects.table() for effects in head_effects(loaded, ablation, tasks, length=at, which=which)]
    columns = ["task", "length", "heads", "clean", "ablated", "effect", "stderr", "n"]
    title = f"{loaded.name}: {kind} ablation, {metric}; effect > 0: the head helped"
    say(f"run: {loaded.path}")
    emit(pd.concat(tables, ignore_index=True), output, columns=columns, title=title)
