"""`interp overlap`."""

from typing import Annotated, Literal

from interp.console import check_output, emit, say
from interp.options import Many, Output, Which


def overlap(
    run: str | None = None,
    /,
    *,
    tasks: Annotated[tuple[str, ...], Many] = (),
    length: int | None = None,
    kind: Literal["zero", "mean", "mean_all"] = "mean",
    metric: str = "accuracy",
    k: int = 3,
    permutations: int = 10_000,
    bootstraps: int = 2_000,
    which: Which = Which(),
    output: Output = Output(),
) -> None:
    """Compare two tasks' ablation maps, against heads shuffled freely and within layers.

    Examples: `interp overlap`, `interp overlap demo --tasks shift copy --metric nll --k 5`

    Args:
        run: A run's folder or name; the newest if left out.
        tasks: Two tasks; the run's first two if left out.
        length: The length of all examples; halfway between the tasks' longest trained lengths if left out.
        kind: What takes the place of a head's output (see `interp ablate`).
        metric: accuracy, token_accuracy or nll.
        k: Size of the sets of top heads.
        permutations: Shuffles per null.
        bootstraps: Bootstrap samples of the examples.
    """
    check_output(output)
    from analyses import HeadAblation, HeadOverlap, get_metric
    from interp.effects import head_effects
    from interp.lengths import default_length
    from tasks import InvalidValueError, same_prompts
    from training import load_run, named_generator

    get_metric(metric)
    loaded = load_run(run)
    heads = loaded.config.model.n_layers * loaded.config.model.n_heads
    if k > heads:
        raise InvalidValueError(f"k = {k} top heads of {heads}; allowed are 1 to {heads}")
    names = tasks or tuple(member.task.name for member in loaded.mixture)[:2]
    if len(names) != 2 or names[0] == names[1]:
        raise InvalidValueError(
            f"overlap compares two tasks, got {' '.join(names)}; name two, as in --tasks shift copy"
        )
    both = [loaded.task(name) for name in names]
    at = default_length(loaded) if length is None else length
    matched = same_prompts(*both, length=at)
    comparison = HeadOverlap(
        k=k, permutations=permutations, bootstraps=bootstraps, resample="together" if matched else "separately"
    )
    effects = head_effects(loaded, HeadAblation(kind=kind, metric=metric), both, length=at, which=which)
    table = comparison(*effects, generator=named_generator(which.seed, "overlap", metric))
    columns = ["measure", "estimate", "low", "high", "null", "null_mean", "null_low", "null_high", "p"]
    title = f"{loaded.name}: {names[0]} and {names[1]} at length {at}, {kind} ablation, {metric}"
    say(f"run: {loaded.path}")
    emit(table, output, columns=columns, title=title)
