"""Circuits as sets of edges: chosen by scores, by nodes, at random, pruned, as text."""

import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest
import torch

from analyses.circuits import Circuit, compare_circuits
from analyses.circuits.circuit import readers
from analyses.circuits.paths import random_path
from analyses.components import Part
from analyses.graph import EMBED, edges, parse_edge, parse_receiver
from analyses.heads import Head
from tasks import InvalidValueError, UnknownNameError
from tests.analyses.circuits.models import HAND
from tests.analyses.models import seeded
from training import ModelConfig

GROUPED = ModelConfig.read({"n_layers": 2, "n_heads": 4, "n_key_value_heads": 2, "d_model": 8, "d_vocab": 3})


def parsed(text: str, config: ModelConfig = HAND) -> Circuit:
    return Circuit.parse(text, config)


def table(scores: Mapping[str, float]) -> pd.DataFrame:
    rows = [(*edge.split("->"), score) for edge, score in scores.items()]
    return pd.DataFrame(rows, columns=["sender", "receiver", "score"])


# -------------------------------------------------------------------------------------------------------- as a set
def test_edges_stand_in_the_graphs_order_whatever_order_they_come_in() -> None:
    whole = Circuit.whole(GROUPED)
    assert whole.edges == tuple(edges(GROUPED))
    assert Circuit(whole.edges[::-1], GROUPED) == whole
    # Into the q, k and v of 2 heads: 1 sender in layer 0, 4 in layer 1; MLPs 3 and 6; logits 7.
    assert len(Circuit.whole(HAND)) == 6 * 1 + 3 + 6 * 4 + 6 + 7


def test_text_and_back() -> None:
    text = "embed->0.0.v 0.0->0.mlp 0.mlp->1.1.k 1.1->logits"
    circuit = parsed(text)
    assert str(circuit) == text
    assert json.loads(json.dumps(str(circuit))) == text
    assert Circuit.parse("\n".join(reversed(text.split())), HAND) == circuit
    assert (len(circuit), list(circuit)) == (4, list(circuit.edges))
    assert parse_edge("0.0->0.mlp", HAND) in circuit
    assert parse_edge("0.1->0.mlp", HAND) not in circuit
    assert str(parsed("")) == ""


def test_complement_plus_and_minus() -> None:
    circuit = parsed("embed->0.0.v 0.0->0.mlp")
    edge = parse_edge("0.0->0.mlp", HAND)
    assert set(circuit).isdisjoint(circuit.complement())
    assert circuit.plus(circuit.complement()) == Circuit.whole(HAND)
    assert circuit.minus([edge]) == parsed("embed->0.0.v")
    assert circuit.plus([edge]) == circuit


def test_readers_of_a_key_value_head_are_its_query_heads() -> None:
    assert readers(parse_receiver("1.1.k", GROUPED), GROUPED) == (Head(1, 2), Head(1, 3))
    assert readers(parse_receiver("1.1.q", GROUPED), GROUPED) == (Head(1, 1),)
    assert readers(parse_receiver("1.mlp", GROUPED), GROUPED) == (Part(1, "mlp"),)
    assert readers(parse_receiver("logits", GROUPED), GROUPED) == ()


def test_nodes() -> None:
    assert parsed("embed->0.0.v 0.0->1.mlp embed->logits").nodes == (Head(0, 0), Part(1, "mlp"))
    assert parsed("embed->0.1.k 0.0->logits", GROUPED).nodes == (Head(0, 0), Head(0, 2), Head(0, 3))


def test_of_nodes_keeps_every_edge_among_them() -> None:
    circuit = Circuit.of_nodes([Head(0, 1), Part(1, "mlp")], HAND)
    assert str(circuit) == (
        "embed->0.1.q embed->0.1.k embed->0.1.v embed->1.mlp 0.1->1.mlp embed->logits 0.1->logits 1.mlp->logits"
    )
    assert Circuit.of_nodes([], HAND) == parsed("embed->logits")
    # Both query heads of the first key-value head read what it reads.
    grouped = Circuit.of_nodes([Head(0, 1)], GROUPED)
    assert str(grouped) == "embed->0.1.q embed->0.0.k embed->0.0.v embed->logits 0.1->logits"
    assert Circuit.of_nodes(Circuit.whole(GROUPED).nodes, GROUPED) == Circuit.whole(GROUPED)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("embed->0.0.v 0.0->0.mlp 0.mlp->logits", "embed->0.0.v 0.0->0.mlp 0.mlp->logits"),
        ("0.0->0.mlp 0.mlp->logits", ""),  # nothing enters
        ("embed->0.0.v 0.0->0.mlp", ""),  # nothing leaves
        ("embed->0.0.v 0.1->0.mlp 0.0->logits", "embed->0.0.v 0.0->logits"),
        ("embed->0.0.q embed->0.1.v 0.1->1.0.k 1.0->logits", "embed->0.1.v 0.1->1.0.k 1.0->logits"),
        ("embed->logits", "embed->logits"),
    ],
)
def test_pruned(text: str, left: str) -> None:
    assert str(parsed(text).pruned()) == left


def test_pruned_with_grouped_queries() -> None:
    # Heads 0.0 and 0.1 share keys: what 0.0 reads as a key reaches the logits through 0.1.
    assert str(parsed("embed->0.0.k 0.1->logits", GROUPED).pruned()) == "embed->0.0.k 0.1->logits"
    assert str(parsed("embed->0.0.k 0.2->logits", GROUPED).pruned()) == ""


# ------------------------------------------------------------------------------------------------------- by scores
SCORES = {
    "embed->0.0.q": 5, "embed->0.0.v": 1, "embed->0.1.v": -7, "embed->0.mlp": 0.5, "0.0->0.mlp": 3,
    "embed->logits": 0, "0.0->logits": -4, "0.1->logits": 2, "0.mlp->logits": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("by", "n", "expected"),
    [
        ("score", 0, ""),
        ("score", 2, "embed->0.0.q 0.0->0.mlp"),
        ("score", 3, "embed->0.0.q 0.0->0.mlp 0.1->logits"),  # 2 and 2: the first in the graph
        ("score", 4, "embed->0.0.q 0.0->0.mlp 0.1->logits 0.mlp->logits"),
        ("magnitude", 1, "embed->0.1.v"),
        ("magnitude", 3, "embed->0.0.q embed->0.1.v 0.0->logits"),
    ],
)
def test_top(by: Any, n: int, expected: str) -> None:
    shuffled = table(SCORES).sample(frac=1, random_state=0)
    assert str(Circuit.top(shuffled, HAND, n=n, by=by)) == expected


@pytest.mark.parametrize(
    ("by", "steps"),
    [
        # From the logits, candidates 0, -4, 2, 2: the first 2 is 0.1's, which offers its -7; then 0.mlp's, which offers
        # .5 and 3; then 3, which offers 5 and 1 of 0.0; then 5, 1, .5, 0, -4, -7.
        ("score", ("0.1->logits 0.mlp->logits 0.0->0.mlp embed->0.0.q embed->0.0.v embed->0.mlp embed->logits "
                   "0.0->logits embed->0.1.v")),
        # |-4| first: 0.0, which offers 5 and 1; 5; then 2 of 0.1, which offers |-7|; then 2 of 0.mlp, 3, 1, .5, 0.
        ("magnitude", ("0.0->logits embed->0.0.q 0.1->logits embed->0.1.v 0.mlp->logits 0.0->0.mlp embed->0.0.v "
                       "embed->0.mlp embed->logits")),
    ],
)  # fmt: skip
def test_greedy(by: Any, steps: str) -> None:
    order = steps.split()
    for n in range(len(order) + 1):
        circuit = Circuit.greedy(table(SCORES), HAND, n=n, by=by)
        assert set(str(circuit).split()) == set(order[:n])


def test_greedy_opens_all_inputs_of_a_head_with_shared_keys() -> None:
    scores = {"0.3->logits": 1, "embed->0.3.q": 2, "embed->0.1.k": 3, "embed->0.1.v": 4, "embed->0.0.k": 5}
    order = ["0.3->logits", "embed->0.1.v", "embed->0.1.k", "embed->0.3.q"]
    for n in range(5):
        assert set(str(Circuit.greedy(table(scores), GROUPED, n=n)).split()) == set(order[:n])


@pytest.mark.parametrize("by", ["score", "magnitude"])
def test_greedy_of_every_edge_is_the_whole_and_always_leads_to_the_logits(by: Any) -> None:
    whole = Circuit.whole(GROUPED)
    values = torch.randn(len(whole), generator=seeded(0)).tolist()
    scores = table(dict(zip(map(str, whole), values, strict=True)))
    assert Circuit.greedy(scores, GROUPED, n=len(whole), by=by) == whole
    circuit = Circuit.greedy(scores, GROUPED, n=30, by=by)
    sending = {edge.sender for edge in circuit}
    assert all(
        edge.receiver.input == "logits" or sending.intersection(readers(edge.receiver, GROUPED)) for edge in circuit
    )


# --------------------------------------------------------------------------------------------------------- at random
def test_random_matches_inputs() -> None:
    like = parsed("embed->0.0.q embed->0.1.q embed->0.0.v 0.0->0.mlp 0.1->1.0.v 0.0->1.0.v 1.0->logits")
    drawn = [Circuit.random(like, generator=seeded(seed)) for seed in range(20)]
    kinds = [Counter(edge.receiver[:2] for edge in circuit) for circuit in (like, *drawn)]
    assert all(kind == kinds[0] for kind in kinds)
    assert len({str(circuit) for circuit in drawn}) > 15
    assert drawn[3] == Circuit.random(like, generator=seeded(3))


def test_random_matches_size_and_every_edge_is_as_likely() -> None:
    like, generator = parsed("embed->0.0.q 1.0->logits"), seeded(0)
    drawn = [Circuit.random(like, generator=generator, match="size") for _ in range(1000)]
    assert {len(circuit) for circuit in drawn} == {2}
    counts = Counter(str(edge) for circuit in drawn for edge in circuit)
    whole = Circuit.whole(HAND)
    # 2000 edges over 46: 43.5 each, standard deviation 6.4
    assert len(counts) == len(whole) == 46
    assert 15 < min(counts.values()) < max(counts.values()) < 75


def test_random_paths_lead_from_the_embedding_over_the_edge_to_the_logits() -> None:
    for config in (HAND, GROUPED):
        for place, edge in enumerate(edges(config)):
            path = random_path(edge, config, generator=seeded(place))
            assert edge in path
            assert path[0].sender == EMBED
            assert path[-1].receiver.input == "logits"
            for one, other in itertools.pairwise(path):
                assert other.sender in readers(one.receiver, config)
            assert Circuit(path, config).pruned() == Circuit(path, config)
    edge = parse_edge("0.mlp->1.mlp", GROUPED)
    assert len({random_path(edge, GROUPED, generator=seeded(seed)) for seed in range(50)}) > 10


# -------------------------------------------------------------------------------------------------------- comparison
def test_comparison_by_hand() -> None:
    found = parsed("embed->0.0.v 0.0->0.mlp 0.mlp->logits embed->logits")
    reference = parsed("embed->0.0.v 0.0->logits embed->logits")
    # Edges: 2 of 4 found are right, 2 of 3 known are found; 46 in all. Nodes: 0.0 and 0.mlp found, 0.0 known; 6 in all.
    assert compare_circuits(found, reference).to_numpy().tolist() == [
        ["edges", 2, 2, 1, 41, 0.5, 2 / 3, 4 / 7, 0.4],
        ["nodes", 1, 1, 0, 4, 0.5, 1, 2 / 3, 0.5],
    ]


def test_edges_missing_from_the_found_circuit_are_no_true_positives() -> None:
    (level, *counts, precision, recall, f1, jaccard), _ = compare_circuits(
        parsed(""), parsed("embed->logits 0.0->logits")
    ).to_numpy().tolist()  # fmt: skip
    assert (level, counts) == ("edges", [0, 0, 2, 44])
    assert math.isnan(precision)
    assert (recall, f1, jaccard) == (0, 0, 0)


def test_nothing_compared_with_nothing_is_undefined() -> None:
    rows = compare_circuits(parsed(""), parsed(""))
    assert rows[["precision", "recall", "f1", "jaccard"]].isna().to_numpy().all()
    assert rows["true_negatives"].tolist() == [46, 6]


# ------------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: parsed("embed->0.0.v embed->0.0.v"), "edge embed->0.0.v is named twice; name each edge once"),
        (lambda: parsed("embed"), "edge 'embed' is not of the form 'sender->receiver', as in '0.1->1.0.q'"),
        (lambda: parsed("1.0->0.mlp"),
         "there is no edge 1.0->0.mlp: the sender writes after the receiver has read; senders come before receivers"),
        (lambda: Circuit.of_nodes([Head(0, 2)], HAND),
         "node 0.2 does not exist: the nodes are heads as '0.3' and MLPs as '0.mlp' of layers 0 to 1, 2 heads each"),
        (lambda: Circuit.of_nodes([Part(0, "attn")], HAND),
         "node 0.attn does not exist: the nodes are heads as '0.3' and MLPs as '0.mlp' of layers 0 to 1, 2 heads each"),
        (lambda: Circuit.top(table(SCORES), HAND, n=10),
         "n = 10 edges cannot be chosen: 9 have scores; allowed are 0 to 9"),
        (lambda: Circuit.greedy(table(SCORES), HAND, n=-1),
         "n = -1 edges cannot be chosen: 9 have scores; allowed are 0 to 9"),
        (lambda: Circuit.top(table(SCORES).drop(columns="score"), HAND, n=1),
         "the table of scores has no column 'score'; it needs sender, receiver and score, one row for each edge"),
        (lambda: Circuit.top(table({"embed->0.0.q": float("nan")}), HAND, n=1),
         "edge embed->0.0.q has score nan; scores must be finite"),
        (lambda: Circuit.top(pd.concat([table(SCORES)] * 2), HAND, n=1),
         "edge embed->0.0.q is named twice; name each edge once"),
        (lambda: Circuit.greedy(table({"embed->0.0.q": 1, "embed->logits": 1}), HAND, n=2),
         "only 1 of the 2 edges with scores lead to the logits, and n = 2; give the scores of all edges"),
        (lambda: compare_circuits(parsed(""), Circuit.whole(GROUPED)),
         ("the circuits are of models of different shapes: 2 layers of 2 heads (2 key-value heads) and 2 layers of 4 "
          "heads (2 key-value heads); compare circuits of one shape")),
    ],
)  # fmt: skip
def test_refused(unchecked: None, make: Any, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        make()
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Circuit.random(parsed(""), generator=seeded(), match="input"),  # pyright: ignore[reportArgumentType]
         "unknown match 'input'; did you mean 'inputs'? a random circuit can match inputs or size"),
        (lambda: Circuit.top(table(SCORES), HAND, n=1, by="scores"),  # pyright: ignore[reportArgumentType]
         "unknown order 'scores'; did you mean 'score'? the orders are score and magnitude"),
    ],
)  # fmt: skip
def test_unknown_names_are_refused(unchecked: None, make: Any, text: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        make()
    assert str(caught.value) == text
