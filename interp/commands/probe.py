"""`interp probe`."""

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from interp.asking.options import Many, Output, Which
from interp.terminal.console import check_output, emit, say

if TYPE_CHECKING:
    import pandas as pd

    from analyses import Running
    from training import HookedTransformer


def probe(
    run: str | None = None,
    /,
    *,
    label: str,
    task: str | None = None,
    length: Annotated[tuple[int, ...], Many, Parameter(name=("--lengths", "--length"))] = (),
    sites: Annotated[tuple[str, ...], Many] = (),
    positions: Literal["all", "prompt", "answer"] = "all",
    types: Literal["token", "position"] = "token",
    l2: float = 1.0,
    which: Which = Which(),
    output: Output = Output(),
) -> None:
    """Train linear probes that read a label of a task at every layer and site, beside their controls.

    Two examples:

    - `interp probe --label position_from_end`
    - `interp probe demo --task shift --label current_token --sites resid_post z`

    Args:
        run: A run's folder or name; the newest if left out.
        label: What is read: current_token, next_target, position_from_end, minimum, successor, carry_in, maze_depth;
            each task has some of them.
        task: The task; the run's first if left out.
        length: The length of all examples, or several to draw from; halfway between the tasks' longest trained lengths
            if left out.
        sites: Where: resid_pre, attn_out, resid_mid, mlp_out, resid_post, z (of each head); all but z if left out.
        positions: Which tokens.
        types: What a control task gives a random label to.
        l2: The penalty lambda of the probes, 1 / C of scikit-learn.
    """
    check_output(output)
    from analyses.probing import Fitting, LinearProbe, get_label
    from analyses.probing.activations import RESIDUAL_SITES
    from analyses.probing.catalogue import check_label
    from interp.asking.lengths import default_length
    from interp.measuring.keeping import kept
    from training import load_run, named_generator

    chosen = sites or RESIDUAL_SITES
    analysis = LinearProbe(chosen, positions, types, fitting=Fitting(l2=l2))  # pyright: ignore[reportArgumentType]  (it checks)
    loaded, found = load_run(run), get_label(label)
    asked = loaded.task(loaded.mixture[0].task.name if task is None else task)
    check_label(found, asked)
    lengths = length or (default_length(loaded),)
    for one in lengths:
        asked.check_length(one)

    def compute(model: "HookedTransformer", running: "Running") -> "pd.DataFrame":
        return analysis(
            model, asked, label=found, length=lengths[0] if len(lengths) == 1 else lengths, n=which.n,
            generator=named_generator(which.seed, "probe"), task_head=loaded.task_head(asked.name), running=running,
        )  # fmt: skip

    about = {"analysis": repr(analysis), "label": label, "length": lengths}
    table = kept(loaded, "probe", [asked], which, about=about, compute=compute)
    say(f"run: {loaded.path}")
    where = f"{asked.name} at length {' '.join(map(str, lengths))}"
    title = f"{loaded.name}: linear probes of {label}, {where}; majority: {table['majority'].iloc[0]:.3f}"
    columns = [
        "layer",
        "site",
        *(["head"] if "z" in chosen else []),
        "accuracy",
        "stderr",
        "selectivity",
        "compression",
    ]
    if not table["converged"].all():
        columns.append("converged")
    emit(table, output, columns=[*columns, "untrained_accuracy"], title=title)
