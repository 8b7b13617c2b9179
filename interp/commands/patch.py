"""`interp patch`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from interp.asking.options import Flag, Many, On, Output, Which
from interp.terminal.console import check_output, emit, say

if TYPE_CHECKING:
    from analyses import PathPatching
    from analyses.scopes import Positions
    from training import ModelConfig


@Parameter(name="*")
@dataclass(frozen=True)
class Sites:
    """Activations that are patched."""

    site: Literal["resid_pre", "q", "k", "v", "pattern", "z", "attn_out", "resid_mid", "mlp_out", "resid_post"] = "z"
    """Which activation, by TransformerLens' name."""

    by: Literal["layer", "layer_position", "head", "head_position"] | None = None
    """What is one patch; a head, or a layer where the site has no heads of its own, if left out."""

    window: int = 1
    """How many neighbouring positions are one patch, where patches go by position."""


@Parameter(name="*")
@dataclass(frozen=True)
class Paths:
    """Edges of the model in the place of its activations."""

    paths: Annotated[bool, Flag] = False
    """Patch edges, exactly: what a sender writes, only as a receiver reads it."""

    senders: Annotated[tuple[str, ...], Many] = ()
    """With --paths: embed, heads as 0.3, MLPs as 0.mlp; all of them if none is named."""

    receivers: Annotated[tuple[str, ...], Many] = ()
    """With --paths: inputs of heads as 1.0.q, 1.0.k, 1.0.v, MLPs as 1.mlp, or logits; all of them if none is named."""

    joint: Annotated[bool, Flag] = False
    """With --paths: all senders of a receiver at once."""


def patch(
    run: str | None = None,
    /,
    *,
    sites: Sites = Sites(),
    paths: Paths = Paths(),
    direction: Literal["denoise", "noise"] = "denoise",
    on: On = On(),
    metric: str = "logit_difference",
    top: int = 20,
    which: Which = Which(n=128),
    output: Output = Output(),
) -> None:
    """Patch activations, or single edges, between each example's run and its counterfactual's.

    Two examples:

    - `interp patch demo --site z --by head_position --direction noise`
    - `interp patch demo --paths --receivers logits 1.0.q`

    Args:
        run: A run's folder or name; the newest if left out.
        direction: denoise: clean into the counterfactual's run (is it enough?); noise: the reverse (is it needed?).
        metric: accuracy, token_accuracy, nll, logit_difference or kl, always against the clean answer.
        top: How many rows are shown, those with the greatest effects first; 0 shows all, in their order.
    """
    check_output(output)
    import pandas as pd

    from analyses import ActivationPatching, get_metric
    from analyses.interventions.sites import HEAD_SITES
    from interp.measuring.tables import measured, positions_of, strongest
    from tasks import InvalidValueError
    from training import load_run

    get_metric(metric)
    loaded = load_run(run)
    where = positions_of(on.positions)
    by = sites.by or ("head" if sites.site in HEAD_SITES else "layer")
    analysis: ActivationPatching | PathPatching
    if paths.paths:
        if sites != Sites():
            raise InvalidValueError("--site, --by and --window say which activations are patched; leave out --paths")
        analysis = _path_patching(paths, direction, metric, where, loaded.config.model)
    else:
        if paths != Paths():
            raise InvalidValueError("--senders, --receivers and --joint say which paths are patched; add --paths")
        analysis = ActivationPatching(sites.site, by, direction, metric, where, sites.window)
    table = measured(loaded, analysis, on, which)
    labels = ["sender", "receiver"] if paths.paths else ["layer", "head", "position"]
    labels = [name for name in labels if bool(pd.notna(table[name]).any())]
    columns = ["task", "length", *labels, "clean", "corrupted", "patched", "effect", "stderr", "normalised"]
    what = "paths" if paths.paths else sites.site
    title = f"{loaded.name}: {direction} patching of {what}, {metric}; effect > 0: it helps"
    say(f"run: {loaded.path}")
    emit(table, output, columns=columns, title=title, shown=strongest(table, top, by="effect"))


def _path_patching(
    paths: Paths, direction: Literal["denoise", "noise"], metric: str, positions: "Positions", config: "ModelConfig"
) -> "PathPatching":
    from analyses import PathPatching
    from analyses.graph import parse_receiver, parse_sender

    return PathPatching(
        tuple(parse_sender(sender) for sender in paths.senders),
        tuple(parse_receiver(receiver, config) for receiver in paths.receivers),
        direction, metric, positions, "jointly" if paths.joint else "singly",
    )  # fmt: skip
