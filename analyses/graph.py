"""The model as a graph: what writes to the residual stream, what reads from it, and the edges between."""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool

from analyses.components import Part
from analyses.heads import Head
from tasks import InvalidValueError
from training import ModelConfig

EMBED = "embed"

Sender = Head | Part | Literal["embed"]
"""What writes: the embedding (with learned positions, if there are any), a head, or an MLP (`Part(layer, "mlp")`)."""

Input = Literal["q", "k", "v", "mlp", "logits"]


class Receiver(NamedTuple):
    """What reads: `1.0.q`, `1.0.k`, `1.0.v`, `1.mlp` or `logits` (the residual stream after the last layer).

    Attributes:
        layer: The layer; of `logits`, the last one.
        input: What is read for.
        head: The query head of `q`, the key-value head of `k` and `v` (the same without grouped queries); else -1.
    """

    layer: int
    input: Input
    head: int = -1

    def __str__(self) -> str:
        if self.input == "logits":
            return "logits"
        return f"{self.layer}.mlp" if self.input == "mlp" else f"{self.layer}.{self.head}.{self.input}"


class Edge(NamedTuple):
    """What a receiver reads from a sender: `0.1->1.0.q`."""

    sender: Sender
    receiver: Receiver

    def __str__(self) -> str:
        return f"{self.sender}->{self.receiver}"


def senders(config: ModelConfig) -> list[Sender]:
    """Everything that writes, in the order of computation: the embedding, then each layer's heads and its MLP."""
    found: list[Sender] = [EMBED]
    for layer in range(config.n_layers):
        found += [Head(layer, head) for head in range(config.n_heads)]
        found.append(Part(layer, "mlp"))
    return found


def receivers(config: ModelConfig) -> list[Receiver]:
    """Everything that reads, in the order of computation: each layer's q, k, v and MLP, and in the end the logits."""
    found: list[Receiver] = []
    for layer in range(config.n_layers):
        found += [Receiver(layer, "q", head) for head in range(config.n_heads)]
        found += [Receiver(layer, "k", head) for head in range(config.n_key_value_heads)]
        found += [Receiver(layer, "v", head) for head in range(config.n_key_value_heads)]
        found.append(Receiver(layer, "mlp"))
    return [*found, Receiver(config.n_layers - 1, "logits")]


def heads_among_senders(layer: int, config: ModelConfig) -> slice:
    """The places in `senders` of a layer's heads; its MLP is at the place behind them."""
    first = 1 + layer * (config.n_heads + 1)
    return slice(first, first + config.n_heads)


def inputs_among_receivers(layer: int, config: ModelConfig) -> slice:
    """The places in `receivers` of a layer's q, k and v; its MLP is at the place behind them."""
    inputs = config.n_heads + 2 * config.n_key_value_heads
    return slice(layer * (inputs + 1), layer * (inputs + 1) + inputs)


def edge_exists(sender: Sender, receiver: Receiver) -> bool:
    """Whether the sender writes before the receiver reads."""
    if sender == EMBED or receiver.input == "logits":
        return True
    assert not isinstance(sender, str)
    if receiver.input == "mlp" and isinstance(sender, Head):
        return sender.layer <= receiver.layer
    return sender.layer < receiver.layer


def edge_mask(config: ModelConfig) -> Bool[np.ndarray, "sender receiver"]:
    """Which of all pairs of `senders` and `receivers` are edges."""
    return np.array([[edge_exists(one, other) for other in receivers(config)] for one in senders(config)])


def edges(config: ModelConfig) -> list[Edge]:
    """Every edge, receiver by receiver in the order of computation, and senders in theirs."""
    return [
        Edge(sender, receiver)
        for receiver in receivers(config)
        for sender in senders(config)
        if edge_exists(sender, receiver)
    ]


def parse_sender(text: str) -> Sender:
    """Reads `embed`, `layer.head` or `layer.mlp`.

    Raises:
        InvalidValueError: The text is of none of these forms.
    """
    text = text.strip()
    if text == EMBED:
        return EMBED
    if match := re.fullmatch(r"(\d+)\.mlp", text):
        return Part(int(match[1]), "mlp")
    if re.fullmatch(r"\d+\.\d+", text):
        return Head.parse(text)
    raise InvalidValueError(f"sender {text!r} is unknown; allowed are 'embed', heads as '0.3' and MLPs as '0.mlp'")


def parse_receiver(text: str, config: ModelConfig) -> Receiver:
    """Reads `layer.head.q` (or k, v), `layer.mlp` or `logits`.

    Raises:
        InvalidValueError: The text is of none of these forms.
    """
    text = text.strip()
    if text == "logits":
        return Receiver(config.n_layers - 1, "logits")
    if match := re.fullmatch(r"(\d+)\.mlp", text):
        return Receiver(int(match[1]), "mlp")
    if match := re.fullmatch(r"(\d+)\.(\d+)\.([qkv])", text):
        return Receiver(int(match[1]), match[3], int(match[2]))  # pyright: ignore[reportArgumentType]  (q, k or v)
    raise InvalidValueError(
        f"receiver {text!r} is unknown; allowed are heads' inputs as '1.0.q', '1.0.k' and '1.0.v', MLPs as '1.mlp', "
        "and 'logits'"
    )


def parse_edge(text: str, config: ModelConfig) -> Edge:
    """Reads `sender->receiver`.

    Raises:
        InvalidValueError: The text is not of that form.
    """
    sender, arrow, receiver = text.partition("->")
    if not arrow:
        raise InvalidValueError(f"edge {text!r} is not of the form 'sender->receiver', as in '0.1->1.0.q'")
    return Edge(parse_sender(sender), parse_receiver(receiver, config))


def check_edges(chosen: Iterable[Edge], config: ModelConfig) -> None:
    """Raises InvalidValueError unless the model has all these edges, each named once."""
    there_senders, there_receivers = set(senders(config)), set(receivers(config))
    seen: set[Edge] = set()
    for edge in chosen:
        if edge.sender not in there_senders:
            raise InvalidValueError(
                f"sender {edge.sender} does not exist: the model has {config.n_layers} layers of {config.n_heads} heads"
            )
        if edge.receiver not in there_receivers:
            raise InvalidValueError(
                f"receiver {edge.receiver} does not exist: the model has {config.n_layers} layers of {config.n_heads} "
                f"query heads and {config.n_key_value_heads} key-value heads"
            )
        if not edge_exists(*edge):
            raise InvalidValueError(
                f"there is no edge {edge}: the sender writes after the receiver has read; senders come before receivers"
            )
        if edge in seen:
            raise InvalidValueError(f"edge {edge} is named twice; name each edge once")
        seen.add(edge)
