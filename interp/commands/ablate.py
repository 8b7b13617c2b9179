"""`interp ablate`."""

from typing import TYPE_CHECKING, Annotated, Literal

from interp.console import check_output, emit, say
from interp.options import Flag, Many, Output, Which

if TYPE_CHECKING:
    from analyses import GreedyAblation, HeadAblation, JointAblation, PairAblation
    from analyses.components import Component
    from training import ModelConfig

COLUMNS = {
    "HeadAblation": ("heads", "clean", "ablated", "effect", "stderr", "n"),
    "JointAblation": ("heads", "effect", "stderr", "controls", "control_mean", "control_low", "control_high", "p"),
    "PairAblation": ("first", "second", "first_effect", "second_effect", "joint_effect", "interaction", "stderr"),
    "GreedyAblation": ("step", "added", "ablated", "effect", "stderr", "chosen_effect"),
}
"""What a person sees of each analysis, besides task and length."""


def ablate(
    run: str | None = None,
    /,
    *,
    heads: Annotated[tuple[str, ...] | None, Many] = None,
    mlps: Annotated[tuple[int, ...] | None, Many] = None,
    attention: Annotated[tuple[int, ...] | None, Many] = None,
    layers: Annotated[tuple[int, ...] | None, Many] = None,
    joint: Annotated[bool, Flag] = False,
    controls: int = 0,
    pairs: Annotated[bool, Flag] = False,
    greedy: Literal["most", "least"] | None = None,
    steps: int = 5,
    positions: Annotated[tuple[str, ...], Many] = ("all",),
    task: Annotated[tuple[str, ...], Many] = (),
    length: int | None = None,
    kind: Literal["zero", "mean", "mean_all", "resample", "counterfactual"] = "mean",
    metric: str = "accuracy",
    which: Which = Which(),
    output: Output = Output(),
) -> None:
    """Ablate attention heads, MLPs or layers and measure what each task loses.

    Examples: `interp ablate --heads`, `interp ablate demo --heads 0.3 2.1 --joint --controls 100 --metric nll`,
    `interp ablate --mlps --positions prompt --kind counterfactual`, `interp ablate --pairs --metric nll`

    Args:
        run: A run's folder or name; the newest if left out.
        heads: Heads as layer.head, counted from 0; every head, one at a time, if none is named.
        mlps: MLPs by layer; all of them if none is named.
        attention: Whole attention layers; all of them if none is named.
        layers: Whole layers, attention and MLP; all of them if none is named.
        joint: Ablate all that is named together.
        controls: With --joint: compare with so many random sets of as many heads of the same layers.
        pairs: Ablate every two of them together, and show what that costs beyond the sum.
        greedy: Ablate one after the other, always what costs most, or least, next.
        steps: With --greedy: how many.
        positions: all, prompt, answer, or numbers of positions, from 0.
        task: The tasks; all that the run was trained on if left out.
        length: The length of all examples; halfway between the tasks' longest trained lengths if left out.
        kind: What takes the place of an output: zero, its mean over the batch at each position, its mean over batch and
            positions, another example's, or that of the example's counterfactual.
        metric: accuracy, token_accuracy, nll, logit_difference or kl.
    """
    check_output(output)
    from analyses import get_metric
    from analyses.components import check_components
    from interp.lengths import default_length
    from interp.measuring import measured, positions_of
    from training import load_run

    get_metric(metric)
    loaded = load_run(run)
    chosen = _components(heads, mlps, attention, layers, loaded.config.model)
    check_components(chosen, loaded.config.model)
    common = {"kind": kind, "metric": metric, "positions": positions_of(positions)}
    analysis = _analysis(chosen, joint, controls, pairs, greedy, steps, common)
    tasks = [loaded.task(name) for name in task or [member.task.name for member in loaded.mixture]]
    at = default_length(loaded) if length is None else length
    table = measured(loaded, analysis, tasks, length=at, which=which)
    where = "" if positions == ("all",) else f" at {' '.join(positions)}"
    title = f"{loaded.name}: {kind} ablation{where}, {metric}; effect > 0: what was ablated helped"
    say(f"run: {loaded.path}")
    emit(table, output, columns=["task", "length", *COLUMNS[type(analysis).__name__]], title=title)


def _components(
    heads: tuple[str, ...] | None,
    mlps: tuple[int, ...] | None,
    attention: tuple[int, ...] | None,
    layers: tuple[int, ...] | None,
    config: "ModelConfig",
) -> "tuple[Component, ...]":
    """What is named; all heads if nothing is."""
    from analyses import Head, Part
    from analyses.heads import all_heads

    found: list[Component] = []
    if heads is not None or (mlps, attention, layers) == (None, None, None):
        found += [Head.parse(head) for head in heads or ()] or all_heads(config)
    for kind, chosen in (("mlp", mlps), ("attn", attention), ("layer", layers)):
        if chosen is not None:
            found += [Part(layer, kind) for layer in chosen or range(config.n_layers)]
    return tuple(found)


def _analysis(
    chosen: "tuple[Component, ...]",
    joint: bool,
    controls: int,
    pairs: bool,
    greedy: Literal["most", "least"] | None,
    steps: int,
    common: dict[str, object],
) -> "HeadAblation | JointAblation | PairAblation | GreedyAblation":
    """The analysis that the options ask for."""
    from analyses import GreedyAblation, HeadAblation, JointAblation, PairAblation
    from tasks import InvalidValueError

    if joint + pairs + (greedy is not None) > 1:
        raise InvalidValueError("--joint, --pairs and --greedy are three questions; ask one at a time")
    if controls and not joint:
        raise InvalidValueError("--controls are random sets beside a joint one; add --joint and name its heads")
    if pairs:
        return PairAblation(heads=chosen, **common)
    if greedy is not None:
        return GreedyAblation(heads=chosen, order=greedy, steps=steps, **common)
    if controls:
        return JointAblation(heads=chosen, controls=controls, **common)
    return HeadAblation(heads=chosen, together="jointly" if joint else "singly", **common)
