"""Which edges make a circuit, by their scores."""

import heapq
import math
from collections import defaultdict
from typing import Literal, get_args

import pandas as pd

from analyses.components import Part
from analyses.graph import EMBED, Edge, Sender, check_edges, edges, parse_receiver, parse_sender
from analyses.heads import Head
from tasks import InvalidValueError
from tasks.errors import unknown_name
from training import ModelConfig

By = Literal["score", "magnitude"]

_NEEDED = ("sender", "receiver", "score")


def top_edges(scores: pd.DataFrame, config: ModelConfig, *, n: int, by: By) -> tuple[Edge, ...]:
    """The n edges with the greatest scores; of equal ones, those that come first in the graph.

    Args:
        scores: A row for each edge: sender and receiver as text, and score (positive: the edge helps).
        config: The model's shape.
        n: How many edges.
        by: `score`: the edges that help most; `magnitude`: those that matter most, whether they help or harm.

    Raises:
        UnknownNameError: No such order.
        InvalidValueError: A table without these columns, an edge that is not there or named twice, a score that is not
            finite, or more edges than have scores.
    """
    ranks = _ranks(scores, config, by)
    _check_count(n, len(ranks))
    return tuple(sorted(ranks, key=ranks.__getitem__)[:n])  # stable, so ties keep the order of the graph


def greedy_edges(scores: pd.DataFrame, config: ModelConfig, *, n: int, by: By) -> tuple[Edge, ...]:
    """n edges found from the logits backwards: always the best edge into what already leads to the logits.

    At first the candidates are the edges into the logits. Each step takes the candidate with the greatest score (of
    equal ones, the first in the graph), and makes the edges into its sender candidates. So every edge lies on a path to
    the logits. Source: EAP-IG (Hanna et al. 2024, arXiv 2403.17806, greedy search; its code ranks by magnitude).

    Args:
        scores: A row for each edge: sender and receiver as text, and score.
        config: The model's shape.
        n: How many edges.
        by: `score` or `magnitude`, as in `top_edges`.

    Raises:
        UnknownNameError, InvalidValueError: As `top_edges`, or fewer than n edges with scores that lead to the logits.
    """
    ranks = _ranks(scores, config, by)
    _check_count(n, len(ranks))
    into = defaultdict[tuple[int, str, int], list[Edge]](list)
    for edge in ranks:
        into[edge.receiver].append(edge)
    order = {edge: place for place, edge in enumerate(ranks)}
    candidates: list[tuple[float, int, Edge]] = []
    opened = set[tuple[int, str, int]]()
    chosen: list[Edge] = []
    waiting = [(config.n_layers - 1, "logits", -1)]
    while len(chosen) < n:
        for receiver in waiting:
            if receiver not in opened:
                opened.add(receiver)
                for edge in into[receiver]:
                    heapq.heappush(candidates, (ranks[edge], order[edge], edge))
        if not candidates:
            raise InvalidValueError(
                f"only {len(chosen)} of the {len(ranks)} edges with scores lead to the logits, and n = {n}; "
                "give the scores of all edges"
            )
        chosen.append(heapq.heappop(candidates)[2])
        waiting = _inputs(chosen[-1].sender, config)
    return tuple(chosen)


def _inputs(sender: Sender, config: ModelConfig) -> list[tuple[int, str, int]]:
    """The receivers that a sender computes from."""
    if sender == EMBED:
        return []
    if isinstance(sender, Part):
        return [(sender.layer, "mlp", -1)]
    assert isinstance(sender, Head)
    group = sender.head // (config.n_heads // config.n_key_value_heads)
    return [(sender.layer, "q", sender.head), (sender.layer, "k", group), (sender.layer, "v", group)]


def _ranks(scores: pd.DataFrame, config: ModelConfig, by: By) -> dict[Edge, float]:
    """Each scored edge's rank in the order of the graph; the lower the better."""
    check_order(by)
    missing = [name for name in _NEEDED if name not in scores.columns]
    if missing:
        raise InvalidValueError(
            f"the table of scores has no column {missing[0]!r}; it needs sender, receiver and score, one row for each "
            "edge"
        )
    columns = [scores[name] for name in _NEEDED]
    named = [
        (Edge(parse_sender(str(sender)), parse_receiver(str(receiver), config)), float(score))
        for sender, receiver, score in zip(*columns, strict=True)
    ]
    check_edges([edge for edge, _ in named], config)
    for edge, score in named:
        if not math.isfinite(score):
            raise InvalidValueError(f"edge {edge} has score {score}; scores must be finite")
    values = dict(named)
    return {edge: -values[edge] if by == "score" else -abs(values[edge]) for edge in edges(config) if edge in values}


def _check_count(n: int, scored: int) -> None:
    if not 0 <= n <= scored:
        raise InvalidValueError(f"n = {n} edges cannot be chosen: {scored} have scores; allowed are 0 to {scored}")


def check_order(by: str) -> None:
    """Raises UnknownNameError unless it is `score` or `magnitude`."""
    if by not in get_args(By):
        raise unknown_name("order", by, get_args(By), listing="the orders are score and magnitude")
