"""Where the nodes of a circuit diagram stand: layers from bottom to top, heads from left to right, then the MLP."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from analyses.components import Part
from analyses.graph import EMBED, Sender, parse_sender
from analyses.heads import Head

LOGITS = "logits"

FIXED = 16
"""Up to so many heads in a layer each has its own column; of more, only those of a circuit are drawn, side by side."""

CROWDED = 13
"""From so many layers on, rows are narrow, and the embedding and the logits stand further off."""

_LATER = 0.35
"""How much higher than its layer's heads, which it reads, an MLP stands."""

Node = Sender | str
"""What is drawn: `embed`, a head, an MLP, or `logits`."""


@dataclass(frozen=True)
class Layout:
    """Places of nodes.

    Attributes:
        at: Column and row of each node; layer l is in row l, the embedding below, the logits above.
        columns: How many columns there are.
        rows: How many rows there are, embedding and logits included.
    """

    at: dict[Node, tuple[float, float]]
    columns: float
    rows: float


def receiver_node(name: str) -> Node:
    """The node that a receiver belongs to: `1.0` of `1.0.q`, `1.mlp`, `logits`."""
    if name == LOGITS:
        return LOGITS
    layer, part, *_ = name.split(".")
    return Part(int(layer), "mlp") if part == "mlp" else Head(int(layer), int(part))


def key_value_heads(name: str, *, group: int) -> list[Node]:
    """The heads that read by a receiver: all of a group that shares its keys and values, else the one that it names."""
    node = receiver_node(name)
    if isinstance(node, Head) and group > 1 and name.endswith((".k", ".v")):
        return [Head(node.layer, node.head * group + place) for place in range(group)]
    return [node]


def sender_node(name: str) -> Node:
    """The node that a sender is."""
    return parse_sender(name)


def layout(n_layers: int, n_heads: int, *, nodes: Collection[Node]) -> Layout:
    """Places for all nodes of a model, or, with many heads in a layer, for those of the circuits.

    Args:
        n_layers: Layers of the model.
        n_heads: Heads of a layer.
        nodes: The nodes of all circuits that are drawn, so that every panel has the same places.
    """
    drawn = [
        [head for head in range(n_heads) if n_heads <= FIXED or Head(layer, head) in nodes] for layer in range(n_layers)
    ]
    columns = max(1, *(len(heads) for heads in drawn))
    off = 1.0 if n_layers < CROWDED else 1.7
    at: dict[Node, tuple[float, float]] = {EMBED: (columns / 2, -off), LOGITS: (columns / 2, n_layers - 1 + off)}
    gap = 0.25 if columns < CROWDED else 0.9  # the boxes of MLPs are wider than narrow columns
    for layer, heads in enumerate(drawn):
        at |= {
            Head(layer, head): (place, float(layer)) for head, place in zip(heads, _spread(heads, columns), strict=True)
        }
        at[Part(layer, "mlp")] = (columns + gap, layer + _LATER)
    return Layout(at, columns + gap + 1, n_layers + 2 * off)


def _spread(heads: Sequence[int], columns: int) -> list[float]:
    """Places of a layer's heads: in order, in the middle of the columns there are."""
    start = (columns - len(heads)) / 2
    return [start + place for place in range(len(heads))]
