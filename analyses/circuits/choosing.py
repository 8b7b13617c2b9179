"""Circuits of a share of the model's edges, the best by their scores."""

import math
from typing import Literal, get_args

import pandas as pd

from analyses.circuits.circuit import Circuit
from analyses.graph import edges
from tasks.errors import unknown_name
from training import ModelConfig

Choose = Literal["score", "magnitude", "greedy"]


def choose_circuit(scores: pd.DataFrame, config: ModelConfig, *, size: float, choose: Choose) -> Circuit:
    """The floor(size * number of edges) best edges.

    Args:
        scores: A row for each edge: sender and receiver as text, and score (positive: the edge helps).
        config: The model's shape.
        size: The circuit's share of the model's edges.
        choose: `score`: edges that help first; `magnitude`: edges that help or harm; `greedy`: by magnitude too, but
            only edges into what leads to the logits already (EAP-IG).

    Raises:
        UnknownNameError: No such way to choose.
        InvalidValueError: Fewer edges with scores than the size needs; and as `Circuit.top`.
    """
    check_choose(choose)
    count = edge_count(size, config)
    if choose == "greedy":
        return Circuit.greedy(scores, config, n=count)
    return Circuit.top(scores, config, n=count, by=choose)


def edge_count(size: float, config: ModelConfig) -> int:
    """How many edges that share of the model's edges is, rounded down."""
    return math.floor(size * len(edges(config)) + 1e-9)  # .29 * 100 is 28.999... in binary


def check_choose(choose: str) -> None:
    """Raises UnknownNameError unless edges can be chosen that way."""
    if choose not in get_args(Choose):
        listing = "the ways are score, magnitude and greedy"
        raise unknown_name("way to choose edges", choose, get_args(Choose), listing=listing)
