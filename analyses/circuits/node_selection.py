"""Which heads and MLPs make a circuit, by their scores."""

import math

import pandas as pd

from analyses.circuits.selection import By, check_order
from analyses.components import Part
from analyses.graph import senders
from analyses.heads import Head
from tasks import InvalidValueError
from training import ModelConfig

_NEEDED = ("site", "layer", "head", "score")


def top_nodes(scores: pd.DataFrame, config: ModelConfig, *, n: int, by: By) -> tuple[Head | Part, ...]:
    """The n heads and MLPs with the greatest scores; of equal ones, those that compute first.

    Args:
        scores: A row for each head (site `z`, with its layer and head) and each MLP (site `mlp_out`, with its layer and
            no head), and its score (positive: it helps).
        config: The model's shape.
        n: How many of them.
        by: `score`: those that help most; `magnitude`: those that matter most, whether they help or harm.

    Raises:
        UnknownNameError: No such order.
        InvalidValueError: A table without these columns, another site, a head or MLP that is not there or named twice,
            a score that is not finite, or more of them than have scores.
    """
    check_order(by)
    missing = [name for name in _NEEDED if name not in scores.columns]
    if missing:
        raise InvalidValueError(
            f"the table of scores has no column {missing[0]!r}; it needs site, layer, head and score, one row for each "
            "head (site z) and MLP (site mlp_out, no head)"
        )
    there = [sender for sender in senders(config) if not isinstance(sender, str)]
    heads, values = pd.to_numeric(scores["head"]).fillna(-1).astype(int), dict[Head | Part, float]()
    for site, layer, head, score in zip(scores["site"], scores["layer"], heads, scores["score"], strict=True):
        node = _node(str(site), int(layer), int(head))
        if node not in there:
            raise InvalidValueError(
                f"node {node} does not exist: the model has {config.n_layers} layers of {config.n_heads} heads"
            )
        if node in values:
            raise InvalidValueError(f"node {node} is named twice; give one score for each, over all positions")
        values[node] = float(score)
        if not math.isfinite(values[node]):
            raise InvalidValueError(f"node {node} has score {values[node]}; scores must be finite")
    if not 0 <= n <= len(values):
        raise InvalidValueError(
            f"n = {n} nodes cannot be chosen: {len(values)} have scores; allowed are 0 to {len(values)}"
        )
    ranked = [node for node in there if node in values]
    ranked.sort(key=lambda node: -values[node] if by == "score" else -abs(values[node]))  # stable: ties keep the order
    return tuple(ranked[:n])


def _node(site: str, layer: int, head: int) -> Head | Part:
    """The head or MLP that a row is about; the head is -1 where it is missing."""
    if site == "z" and head >= 0:
        return Head(layer, head)
    if site == "mlp_out" and head < 0:
        return Part(layer, "mlp")
    raise InvalidValueError(
        f"a row of site {site!r} {f'with head {head}' if head >= 0 else 'without a head'} is no node's; allowed are "
        "heads of site 'z', and site 'mlp_out' without a head"
    )
