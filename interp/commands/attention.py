"""`interp attention`."""

from typing import TYPE_CHECKING, Annotated

from interp.asking.options import Many, Output, Tasks, Which
from interp.terminal.console import check_output, emit, say

if TYPE_CHECKING:
    import pandas as pd

    from analyses import Running
    from training import HookedTransformer


def attention(
    run: str | None = None,
    /,
    *,
    tasks: Annotated[tuple[str, ...], Tasks] = (),
    measures: Annotated[tuple[str, ...], Many] = (),
    length: int | None = None,
    bootstraps: int = 2_000,
    top: int = 10,
    which: Which = Which(n=256),
    output: Output = Output(),
) -> None:
    """Compare where each head attends on two tasks: the first paper's attention difference, and two others.

    Two examples:

    - `interp attention`
    - `interp attention demo --tasks shift copy --measures jensen_shannon`

    Args:
        run: A run's folder or name; the newest if left out.
        tasks: Two tasks; the run's first two if left out.
        measures: attention_difference, jensen_shannon, offset_cosine; all that the two tasks allow if left out.
        length: The length of all examples; halfway between the tasks' longest trained lengths if left out.
        bootstraps: Bootstrap samples of the examples, for offset_cosine.
        top: How many heads to show for each measure, those that differ most; all for 0.
    """
    check_output(output)
    from analyses import AttentionDifference
    from interp.asking.lengths import default_length
    from interp.measuring.keeping import kept
    from tasks import InvalidValueError
    from training import load_run, named_generator

    analysis = AttentionDifference(measures, bootstraps=bootstraps)  # pyright: ignore[reportArgumentType]  (it checks)
    loaded = load_run(run)
    names = tasks or tuple(member.task.name for member in loaded.mixture)[:2]
    if len(names) != 2 or names[0] == names[1]:
        raise InvalidValueError(
            f"attention is compared of two tasks, got {' '.join(names)}; name two, as in --tasks shift copy"
        )
    both = [loaded.task(name) for name in names]
    at = default_length(loaded) if length is None else length

    def compute(model: "HookedTransformer", running: "Running") -> "pd.DataFrame":
        generator = named_generator(which.seed, "attention")
        return analysis(model, *both, length=at, n=which.n, generator=generator, running=running)

    table = kept(loaded, "attention", both, which, about={"analysis": repr(analysis), "length": at}, compute=compute)
    say(f"run: {loaded.path}")
    columns = ["measure", "layer", "head", "estimate", "stderr", "low", "high"]
    title = f"{loaded.name}: attention on {names[0]} and {names[1]} at length {at}; no head: total, or mean over heads"
    emit(table, output, columns=columns, title=title, shown=_shown(table, top))


def _shown(table: "pd.DataFrame", top: int) -> "pd.DataFrame":
    """The totals, and for each measure the heads that differ most."""
    import pandas as pd

    parts = []
    for measure, part in table.groupby("measure", sort=False):
        heads = part[part["head"].notna()].sort_values("estimate", ascending=measure == "offset_cosine", kind="stable")
        parts += [part[part["head"].isna()], heads if not top else heads.head(top)]
    return pd.concat(parts)
