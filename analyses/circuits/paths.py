"""Random paths through the model, from the embedding to the logits."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Generator

from analyses.circuits.circuit import readers
from analyses.graph import EMBED, Edge, Sender, edges
from training import ModelConfig

_One = TypeVar("_One")


def random_path(edge: Edge, config: ModelConfig, *, generator: Generator) -> tuple[Edge, ...]:
    """The edges of a path from the embedding to the logits that leads over a given edge.

    From the edge on, each next edge is drawn uniformly from those that leave what has just been reached (with grouped
    queries, one query head of the key-value head); back from it, each edge before is drawn uniformly from those that
    lead to any input of the sender.
    """
    everything = edges(config)
    path = [edge]
    while path[-1].receiver.input != "logits":
        node = _one(readers(path[-1].receiver, config), generator)
        path.append(_one([other for other in everything if other.sender == node], generator))
    while path[0].sender != EMBED:
        path.insert(0, _one(_into(path[0].sender, everything, config), generator))
    return tuple(path)


def _into(node: Sender, everything: Sequence[Edge], config: ModelConfig) -> list[Edge]:
    return [edge for edge in everything if node in readers(edge.receiver, config)]


def _one(choices: Sequence[_One], generator: Generator) -> _One:
    return choices[int(torch.randint(len(choices), (), generator=generator, device=generator.device))]
