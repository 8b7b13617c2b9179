"""The model as a graph: names, order, and the number of edges."""

import numpy as np
import pytest

from analyses import Head, Part
from analyses.graph import (
    Edge,
    Receiver,
    check_edges,
    edge_exists,
    edge_mask,
    edges,
    parse_edge,
    parse_receiver,
    parse_sender,
    receivers,
    senders,
)
from tasks import InvalidValueError
from training import ModelConfig


def config_of(layers: int, heads: int, groups: int) -> ModelConfig:
    return ModelConfig.read(
        {"n_layers": layers, "n_heads": heads, "n_key_value_heads": groups, "d_model": 24, "d_vocab": 4}
    )


GROUPED = config_of(2, 4, 2)


def test_senders_in_the_order_of_computation() -> None:
    assert " ".join(map(str, senders(GROUPED))) == "embed 0.0 0.1 0.2 0.3 0.mlp 1.0 1.1 1.2 1.3 1.mlp"


def test_receivers_in_the_order_of_computation() -> None:
    assert " ".join(map(str, receivers(GROUPED))) == (
        "0.0.q 0.1.q 0.2.q 0.3.q 0.0.k 0.1.k 0.0.v 0.1.v 0.mlp "
        "1.0.q 1.1.q 1.2.q 1.3.q 1.0.k 1.1.k 1.0.v 1.1.v 1.mlp logits"
    )


@pytest.mark.parametrize(("layers", "heads", "groups"), [(1, 1, 1), (2, 4, 4), (2, 4, 2), (3, 4, 1), (6, 6, 6)])
def test_number_of_edges(layers: int, heads: int, groups: int) -> None:
    """Before layer l there are 1 + l (H + 1) senders; its H + 2 G attention inputs read them, its MLP H heads more.

    So the edges are sum over layers of (1 + l (H + 1)) (H + 2 G + 1) + H, and 1 + L (H + 1) into the logits.
    """
    config = config_of(layers, heads, groups)
    before = [1 + layer * (heads + 1) for layer in range(layers + 1)]
    count = sum(earlier * (heads + 2 * groups + 1) + heads for earlier in before[:-1]) + before[-1]
    assert len(edges(config)) == edge_mask(config).sum() == count
    assert len(senders(config)) == before[-1]
    assert len(receivers(config)) == layers * (heads + 2 * groups + 1) + 1


def test_edges_go_receiver_by_receiver() -> None:
    names = [str(edge) for edge in edges(config_of(1, 2, 1))]
    assert names == [
        "embed->0.0.q", "embed->0.1.q", "embed->0.0.k", "embed->0.0.v", "embed->0.mlp", "0.0->0.mlp", "0.1->0.mlp",
        "embed->logits", "0.0->logits", "0.1->logits", "0.mlp->logits",
    ]  # fmt: skip


def test_mask_holds_exactly_the_edges() -> None:
    mask = edge_mask(GROUPED)
    assert mask.shape == (11, 19)
    assert mask.dtype == bool
    there = [(senders(GROUPED).index(one), receivers(GROUPED).index(other)) for one, other in edges(GROUPED)]
    assert sorted(map(list, there)) == np.argwhere(mask).tolist()


@pytest.mark.parametrize(
    ("edge", "there"),
    [
        ("embed->0.0.q", True), ("embed->logits", True), ("0.1->0.mlp", True), ("0.1->0.0.v", False),
        ("0.1->1.0.v", True), ("0.mlp->0.mlp", False), ("0.mlp->1.3.q", True), ("1.0->0.mlp", False),
        ("1.0->1.mlp", True), ("1.mlp->logits", True), ("1.mlp->1.1.k", False),
    ],
)  # fmt: skip
def test_senders_come_before_receivers(edge: str, there: bool) -> None:
    assert edge_exists(*parse_edge(edge, GROUPED)) is there


def test_names_are_read_back() -> None:
    assert [parse_sender(str(one)) for one in senders(GROUPED)] == senders(GROUPED)
    assert [parse_receiver(str(one), GROUPED) for one in receivers(GROUPED)] == receivers(GROUPED)
    assert [parse_edge(str(one), GROUPED) for one in edges(GROUPED)] == edges(GROUPED)


def test_parts_of_names() -> None:
    assert parse_sender(" 0.mlp ") == Part(0, "mlp")
    assert parse_sender("1.2") == Head(1, 2)
    assert parse_receiver("1.0.q", GROUPED) == Receiver(1, "q", 0)
    assert parse_receiver("1.mlp", GROUPED) == Receiver(1, "mlp")
    assert parse_receiver("logits", GROUPED) == Receiver(1, "logits")
    assert parse_edge("0.1 -> 1.0.q", GROUPED) == Edge(Head(0, 1), Receiver(1, "q", 0))


# --------------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize("text", ["", "0.attn", "0.0.q", "logits", "embedding", "-1.0"])
def test_unknown_sender_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse_sender(text)
    assert str(caught.value) == (f"sender {text!r} is unknown; allowed are 'embed', heads as '0.3' and MLPs as '0.mlp'")


@pytest.mark.parametrize("text", ["", "1.0", "1.0.z", "embed", "1.attn", "q"])
def test_unknown_receiver_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse_receiver(text, GROUPED)
    assert str(caught.value) == (
        f"receiver {text!r} is unknown; allowed are heads' inputs as '1.0.q', '1.0.k' and '1.0.v', MLPs as '1.mlp', "
        "and 'logits'"
    )


def test_edge_without_arrow_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse_edge("0.1 1.0.q", GROUPED)
    assert str(caught.value) == "edge '0.1 1.0.q' is not of the form 'sender->receiver', as in '0.1->1.0.q'"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["0.4->logits"], "sender 0.4 does not exist: the model has 2 layers of 4 heads"),
        (["2.mlp->logits"], "sender 2.mlp does not exist: the model has 2 layers of 4 heads"),
        (["embed->0.2.k"],
         "receiver 0.2.k does not exist: the model has 2 layers of 4 query heads and 2 key-value heads"),
        (["embed->2.mlp"],
         "receiver 2.mlp does not exist: the model has 2 layers of 4 query heads and 2 key-value heads"),
        (["0.1->0.0.q"],
         "there is no edge 0.1->0.0.q: the sender writes after the receiver has read; senders come before receivers"),
        (["0.1->1.0.q", "embed->logits", "0.1->1.0.q"], "edge 0.1->1.0.q is named twice; name each edge once"),
    ],
    ids=["head", "layer", "key-value head", "layer of a receiver", "order", "twice"],
)  # fmt: skip
def test_edge_that_is_not_there_is_refused(names: list[str], text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_edges([parse_edge(name, GROUPED) for name in names], GROUPED)
    assert str(caught.value) == text


def test_all_edges_pass() -> None:
    check_edges(edges(GROUPED), GROUPED)
