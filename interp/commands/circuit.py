"""`interp circuit`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from interp.asking.options import Many, Output, Tasks, Which
from interp.terminal.console import check_output, emit, say

COLUMNS = {
    "curve": ("size", "edges", "value", "faithfulness", "low", "high"),
    "summary": ("measure", "value", "low", "high"),
    "edges": ("sender", "receiver", "score", "stderr"),
    "tests": ("test", "edges", "value", "low", "high", "null_low", "null_high", "p"),
    "minimality": ("edge", "loss", "low", "high", "null_high", "p", "q"),
}
"""What a person sees of each table, besides task and length."""


@Parameter(name="*")
@dataclass(frozen=True)
class Search:
    """How circuits are found."""

    method: Literal["EAP", "EAP-IG-inputs", "EAP-IG-activations"] = "EAP-IG-inputs"
    """How edges are scored."""

    steps: int = 5
    """Points of an integrated gradient."""

    choose: Literal["score", "magnitude", "greedy"] = "magnitude"
    """Which edges come first: those that help, those that matter, or those that matter and lead to the logits."""

    size: float = 0.05
    """The circuit's share of the model's edges, where one circuit is shown."""

    sizes: Annotated[tuple[float, ...], Many] = ()
    """The curve's sizes; MIB's if left out."""


def circuit(
    run: str | None = None,
    /,
    *,
    show: Literal["curve", "summary", "edges", "tests", "minimality"] = "curve",
    search: Search = Search(),
    task: Annotated[tuple[str, ...], Tasks] = (),
    length: int | None = None,
    metric: str = "logit_difference",
    which: Which = Which(n=128),
    output: Output = Output(),
) -> None:
    """Find the circuit of each task, and say how faithful, complete and minimal it is.

    Two examples:

    - `interp circuit`
    - `interp circuit demo --tasks shift --show edges --size 0.05`

    Args:
        run: A run's folder or name; the newest if left out.
        show: curve: faithfulness of circuits of every size; summary: its two integrals, CPR and CMD; of the circuit of
            --size: its edges, its tests against random circuits, or what each of its edges adds.
        task: The tasks; all that the run was trained on if left out.
        length: The length of all examples; halfway between the tasks' longest trained lengths if left out.
        metric: logit_difference, nll, or kl.
    """
    check_output(output)
    from analyses import CircuitSearch, get_metric
    from analyses.circuits.faithfulness import SIZES
    from interp.asking.options import On
    from interp.measuring.tables import measured, strongest
    from training import load_run

    get_metric(metric)
    loaded = load_run(run)
    analysis = CircuitSearch(
        show, search.size, search.method, search.steps, metric, search.choose, search.sizes or SIZES
    )
    table = measured(loaded, analysis, On(task=task, length=length), which)
    title = f"{loaded.name}: circuits by {search.method} and {search.choose}, {metric}"
    say(f"run: {loaded.path}")
    shown = strongest(table, 40, by="score") if show == "edges" else table
    emit(table, output, columns=["task", "length", *COLUMNS[show]], title=title, shown=shown)
