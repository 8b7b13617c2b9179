"""`interp ablate`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from interp.asking.options import Flag, Many, On, Output, Which
from interp.terminal.console import check_output, emit, say

if TYPE_CHECKING:
    from analyses import GreedyAblation, HeadAblation, JointAblation, PairAblation
    from analyses.ablation import AblationKind
    from analyses.components import Component, PartKind
    from analyses.scopes import Positions
    from training import ModelConfig

COLUMNS = {
    "HeadAblation": ("heads", "clean", "ablated", "effect", "stderr", "n"),
    "JointAblation": ("heads", "effect", "stderr", "controls", "control_mean", "control_low", "control_high", "p"),
    "PairAblation": ("first", "second", "first_effect", "second_effect", "joint_effect", "interaction", "stderr"),
    "GreedyAblation": ("step", "added", "ablated", "effect", "stderr", "chosen_effect"),
}
"""What a person sees of each analysis, besides task and length."""


@Parameter(name="*")
@dataclass(frozen=True)
class Parts:
    """What is ablated."""

    heads: Annotated[tuple[str, ...] | None, Many] = None
    """Heads as layer.head, or all heads of a key-value head as layer.kvNUMBER, counted from 0; every head, one at a
    time, if none is named."""

    by: Literal["head", "group"] = "head"
    """Where no head is named: every head, or every group of heads that share a key-value head; its name is 0.kv1."""

    mlps: Annotated[tuple[int, ...] | None, Many] = None
    """MLPs by layer; all of them if none is named."""

    attention: Annotated[tuple[int, ...] | None, Many] = None
    """Whole attention layers; all of them if none is named."""

    layers: Annotated[tuple[int, ...] | None, Many] = None
    """Whole layers, attention and MLP; all of them if none is named."""


@Parameter(name="*")
@dataclass(frozen=True)
class Together:
    """What is ablated at once."""

    joint: Annotated[bool, Flag] = False
    """Ablate all that is named together."""

    controls: int = 0
    """With --joint: compare with so many random sets of as many heads of the same layers."""

    pairs: Annotated[bool, Flag] = False
    """Ablate every two of them together, and show what that costs beyond the sum."""

    greedy: Literal["most", "least"] | None = None
    """Ablate one after the other, always what costs most, or least, next."""

    steps: int | None = None
    """With --greedy: how many; 5 if left out."""


def ablate(
    run: str | None = None,
    /,
    *,
    parts: Parts = Parts(),
    together: Together = Together(),
    on: On = On(),
    kind: Literal["zero", "mean", "mean_all", "resample", "counterfactual"] = "mean",
    metric: str = "accuracy",
    which: Which = Which(),
    output: Output = Output(),
) -> None:
    """Ablate attention heads, MLPs or layers and measure what each task loses.

    Two examples:

    - `interp ablate --heads`
    - `interp ablate demo --heads 0.3 2.1 --joint --controls 100 --metric nll`

    Args:
        run: A run's folder or name; the newest if left out.
        kind: What takes the place of an output: zero, its mean over the batch at each position, its mean over batch and
            positions, another example's, or that of the example's counterfactual.
        metric: accuracy, token_accuracy, nll, logit_difference or kl.
    """
    check_output(output)
    from analyses import Group, Head, get_metric
    from analyses.components import check_components
    from analyses.heads import check_groups, check_heads
    from interp.measuring.tables import measured, positions_of
    from tasks import InvalidValueError
    from training import load_run

    get_metric(metric)
    loaded = load_run(run)
    chosen = _components(parts, loaded.config.model)
    check_heads([one for one in chosen if isinstance(one, Head)], loaded.config.model)
    check_groups([one for one in chosen if isinstance(one, Group)], loaded.config.model)
    for one in chosen:
        check_components([one], loaded.config.model)
    if together.joint and not (parts.heads or parts.mlps or parts.attention or parts.layers):
        raise InvalidValueError("--joint needs the heads to ablate together; name them, as in --heads 0.3 2.1 --joint")
    analysis = _analysis(chosen, together, kind, metric, positions_of(on.positions))
    table = measured(loaded, analysis, on, which)
    where = "" if on.positions == ("all",) else f" at {' '.join(on.positions)}"
    title = f"{loaded.name}: {kind} ablation{where}, {metric}; effect > 0: what was ablated helped"
    say(f"run: {loaded.path}")
    emit(table, output, columns=["task", "length", *COLUMNS[type(analysis).__name__]], title=title)


def _components(parts: Parts, config: "ModelConfig") -> "tuple[Component, ...]":
    """What is named; all heads if nothing is."""
    from analyses import Part
    from analyses.components import all_parts
    from analyses.heads import all_groups, all_heads
    from tasks import InvalidValueError

    kinds: tuple[tuple[PartKind, tuple[int, ...] | None], ...] = (
        ("mlp", parts.mlps), ("attn", parts.attention), ("layer", parts.layers)
    )  # fmt: skip
    found: list[Component] = []
    if parts.heads and parts.by == "group":
        raise InvalidValueError(
            "--by group stands for every group, and some heads are named; leave one of them out (a group by its name "
            "is --heads 0.kv1)"
        )
    if parts.heads is not None or all(chosen is None for _, chosen in kinds):
        every = all_groups(config) if parts.by == "group" else all_heads(config)
        found += [_heads(text) for text in parts.heads or ()] or every
    elif parts.by == "group":
        raise InvalidValueError("--by group says which heads are ablated, and none are asked for; add --heads")
    for kind, chosen in kinds:
        if chosen is not None:
            found += [Part(layer, kind) for layer in chosen] or all_parts(config, kind)
    return tuple(found)


def _heads(text: str) -> "Component":
    """A head, or a group of heads."""
    from analyses import Group, Head
    from analyses.components import parse_component

    found = parse_component(text) if ".kv" in text else Head.parse(text)
    assert isinstance(found, Head | Group)
    return found


def _analysis(
    chosen: "tuple[Component, ...]", together: Together, kind: "AblationKind", metric: str, positions: "Positions"
) -> "HeadAblation | JointAblation | PairAblation | GreedyAblation":
    """The analysis that the options ask for."""
    from analyses import GreedyAblation, HeadAblation, JointAblation, PairAblation
    from tasks import InvalidValueError

    if together.joint + together.pairs + (together.greedy is not None) > 1:
        raise InvalidValueError("--joint, --pairs and --greedy are three questions; ask one at a time")
    if together.steps is not None and together.greedy is None:
        raise InvalidValueError("--steps are those of a greedy order; add --greedy most or --greedy least")
    if together.controls and not together.joint:
        raise InvalidValueError("--controls are random sets beside a joint one; add --joint and name its heads")
    if together.pairs:
        return PairAblation(chosen, kind, metric, positions)
    if together.greedy is not None:
        return GreedyAblation(
            5 if together.steps is None else together.steps, together.greedy, chosen, kind, metric, positions
        )
    if together.controls:
        return JointAblation(chosen, kind, metric, positions, together.controls)
    return HeadAblation(kind, metric, chosen, "jointly" if together.joint else "singly", positions)
