"""A circuit: a set of the model's edges."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd
import torch
from torch import Generator

from analyses.circuits.node_selection import top_nodes
from analyses.circuits.selection import By, greedy_edges, top_edges
from analyses.components import Part
from analyses.graph import EMBED, Edge, Input, Receiver, Sender, check_edges, edges, parse_edge, senders
from analyses.heads import Head
from tasks import InvalidValueError
from tasks.errors import unknown_name
from training import ModelConfig

Match = Literal["inputs", "size"]


@dataclass(frozen=True)
class Circuit:
    """A set of edges of a model of some shape: those that are kept when all others are cut.

    It is a collection of its edges, so `run_edge_sets` takes it as it is. As text it is its edges' names, as
    `embed->0.1.q 0.1->logits`; `parse` reads that back.

    Attributes:
        edges: The edges; kept in the order of the graph, whatever order they are given in.
        config: The model's shape.

    Raises:
        InvalidValueError: An edge that the model does not have, or one named twice.
    """

    edges: tuple[Edge, ...]
    config: ModelConfig

    def __post_init__(self) -> None:
        check_edges(self.edges, self.config)
        object.__setattr__(self, "edges", tuple(sorted(self.edges, key=_place)))

    def __len__(self) -> int:
        return len(self.edges)

    def __iter__(self) -> Iterator[Edge]:
        return iter(self.edges)

    def __contains__(self, edge: object) -> bool:
        return edge in self.edges

    def __str__(self) -> str:
        return " ".join(map(str, self.edges))

    @classmethod
    def parse(cls, text: str, config: ModelConfig) -> "Circuit":
        """Reads names of edges, divided by spaces or lines.

        Raises:
            InvalidValueError: A name that is not an edge's, an edge that is not there, or one named twice.
        """
        return cls(tuple(parse_edge(name, config) for name in text.split()), config)

    @classmethod
    def whole(cls, config: ModelConfig) -> "Circuit":
        """Every edge of the model."""
        return cls(tuple(edges(config)), config)

    @classmethod
    def top(cls, scores: pd.DataFrame, config: ModelConfig, *, n: int, by: By = "score") -> "Circuit":
        """The n edges with the greatest scores (`analyses.circuits.selection.top_edges`)."""
        return cls(top_edges(scores, config, n=n, by=by), config)

    @classmethod
    def greedy(cls, scores: pd.DataFrame, config: ModelConfig, *, n: int, by: By = "magnitude") -> "Circuit":
        """The n edges found from the logits backwards (`analyses.circuits.selection.greedy_edges`)."""
        return cls(greedy_edges(scores, config, n=n, by=by), config)

    @classmethod
    def of_nodes(cls, nodes: Iterable[Sender], config: ModelConfig) -> "Circuit":
        """All edges among some heads and MLPs, the embedding and the logits.

        With grouped queries, what a key-value head reads belongs to each of its query heads.

        Raises:
            InvalidValueError: A head or MLP that the model does not have, or another part of a layer.
        """
        chosen, there = {EMBED, *nodes}, set(senders(config))
        for node in chosen:
            if node not in there:
                raise InvalidValueError(
                    f"node {node} does not exist: the nodes are heads as '0.3' and MLPs as '0.mlp' of layers 0 to "
                    f"{config.n_layers - 1}, {config.n_heads} heads each"
                )
        among = [
            edge
            for edge in edges(config)
            if edge.sender in chosen
            and (edge.receiver.input == "logits" or chosen.intersection(readers(edge.receiver, config)))
        ]
        return cls(tuple(among), config)

    @classmethod
    def top_nodes(cls, scores: pd.DataFrame, config: ModelConfig, *, n: int, by: By = "score") -> "Circuit":
        """All edges among the n best heads and MLPs (`analyses.circuits.node_selection.top_nodes`)."""
        return cls.of_nodes(top_nodes(scores, config, n=n, by=by), config)

    @classmethod
    def random(cls, like: "Circuit", *, generator: Generator, match: Match = "inputs") -> "Circuit":
        """A random circuit of the size of another, uniformly among all of those.

        Args:
            like: The other.
            generator: The source of randomness.
            match: `inputs`: as many edges into each layer's queries, keys, values and MLP, and into the logits, as the
                other has; edges into different layers are not exchangeable. `size`: as many edges altogether.

        Raises:
            UnknownNameError: No such kind of match.
        """
        check_match(match)
        strata: dict[object, list[Edge]] = {}
        for edge in edges(like.config):
            strata.setdefault(edge.receiver[:2] if match == "inputs" else "all", []).append(edge)
        own, chosen = set(like.edges), []
        for stratum in strata.values():
            count = sum(edge in own for edge in stratum)
            drawn = torch.randperm(len(stratum), generator=generator, device=generator.device)[:count]
            chosen += [stratum[place] for place in drawn.tolist()]
        return cls(tuple(chosen), like.config)

    @property
    def nodes(self) -> tuple[Head | Part, ...]:
        """The heads and MLPs that an edge leads from or to, in the order of computation."""
        touched = {edge.sender for edge in self.edges}
        touched |= {node for edge in self.edges for node in readers(edge.receiver, self.config)}
        return tuple(node for node in senders(self.config) if not isinstance(node, str) and node in touched)

    def pruned(self) -> "Circuit":
        """Without the edges that lie on no path from the embedding to the logits.

        What the embedding does not reach along kept edges writes what it writes in the other run anyway, and what does
        not reach the logits cannot change them; so in direction `noise` the circuit's scores stay the same. (In
        direction `denoise` a sender's clean value matters even where nothing clean reaches the sender.)
        """
        reached, live = set[Sender]({EMBED}), list[Edge]()
        for edge in self.edges:  # in the order of computation: all that leads to a sender comes before it sends
            if edge.sender in reached:
                live.append(edge)
                reached.update(readers(edge.receiver, self.config))
        needed, useful = set[Sender](), list[Edge]()
        for edge in reversed(live):
            if edge.receiver.input == "logits" or needed.intersection(readers(edge.receiver, self.config)):
                useful.append(edge)
                needed.add(edge.sender)
        return Circuit(tuple(useful), self.config)

    def complement(self) -> "Circuit":
        """The model's other edges."""
        own = set(self.edges)
        return Circuit(tuple(edge for edge in edges(self.config) if edge not in own), self.config)

    def plus(self, others: Iterable[Edge]) -> "Circuit":
        """With these edges too."""
        return Circuit(tuple({*self.edges, *others}), self.config)

    def minus(self, others: Iterable[Edge]) -> "Circuit":
        """Without these edges."""
        left_out = set(others)
        return Circuit(tuple(edge for edge in self.edges if edge not in left_out), self.config)


def readers(receiver: Receiver, config: ModelConfig) -> tuple[Head | Part, ...]:
    """What a receiver is the input of: a head, an MLP, all query heads of a key-value head; for the logits, nothing."""
    if receiver.input == "logits":
        return ()
    if receiver.input == "mlp":
        return (Part(receiver.layer, "mlp"),)
    if receiver.input == "q":
        return (Head(receiver.layer, receiver.head),)
    shared = config.n_heads // config.n_key_value_heads
    return tuple(Head(receiver.layer, receiver.head * shared + place) for place in range(shared))


def check_match(match: str) -> None:
    """Raises UnknownNameError unless random circuits can match another one in that."""
    if match not in get_args(Match):
        raise unknown_name("match", match, get_args(Match), listing="a random circuit can match inputs or size")


def _place(edge: Edge) -> tuple[int, int, int, int, int, int]:
    """What sorts edges into the graph's order: receivers in the order of computation, then senders in theirs."""
    receiver, sender = edge.receiver, edge.sender
    reads = (receiver.layer, get_args(Input).index(receiver.input), receiver.head)
    if isinstance(sender, Head):
        return (*reads, sender.layer, 0, sender.head)
    return (*reads, sender.layer if isinstance(sender, Part) else -1, 1, 0)
