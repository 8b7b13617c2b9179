"""Circuits of the best heads and MLPs: a hand-made table with ties, tables of the analyses, errors."""

from typing import Any

import pandas as pd
import pytest

from analyses.attribution import AttributionPatching
from analyses.circuits import Circuit
from analyses.circuits.node_selection import top_nodes
from analyses.components import all_parts
from analyses.heads import Head, all_heads
from tasks import InvalidValueError, UnknownNameError
from tests.analyses.circuits.models import HAND, TASK
from tests.analyses.models import random_model, seeded


def table(*rows: tuple[str, int, int | None, float]) -> pd.DataFrame:
    made = pd.DataFrame(rows, columns=["site", "layer", "head", "score"])
    return made.astype({"layer": "Int64", "head": "Int64"})


# 0.mlp, 1.0 and 0.1 tie at 2: they compute in the order 0.1, 0.mlp, 1.0, which is not the table's.
SCORES = table(
    ("mlp_out", 0, None, 2.0), ("z", 1, 0, 2.0), ("z", 0, 1, 2.0), ("z", 1, 1, -3.0), ("z", 0, 0, 1.0),
    ("mlp_out", 1, None, 0.0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("n", "by", "wanted"),
    [
        (0, "score", []),
        (2, "score", ["0.1", "0.mlp"]),
        (3, "score", ["0.1", "0.mlp", "1.0"]),
        (6, "score", ["0.1", "0.mlp", "1.0", "0.0", "1.mlp", "1.1"]),
        (1, "magnitude", ["1.1"]),
        (3, "magnitude", ["1.1", "0.1", "0.mlp"]),
    ],
)
def test_the_best_come_first_and_ties_in_the_order_of_computation(n: int, by: Any, wanted: list[str]) -> None:
    assert list(map(str, top_nodes(SCORES, HAND, n=n, by=by))) == wanted
    assert list(map(str, top_nodes(SCORES.iloc[::-1], HAND, n=n, by=by))) == wanted


def test_a_circuit_has_all_edges_among_them() -> None:
    # The embedding into 0.1's q, k and v, 0.mlp and the logits; 0.1 into the latter two; 0.mlp into the logits.
    circuit = Circuit.top_nodes(SCORES, HAND, n=2)
    assert str(circuit) == (
        "embed->0.1.q embed->0.1.k embed->0.1.v embed->0.mlp 0.1->0.mlp embed->logits 0.1->logits 0.mlp->logits"
    )
    assert Circuit.top_nodes(SCORES, HAND, n=1, by="magnitude") == Circuit.of_nodes([Head(1, 1)], HAND)


def test_takes_the_tables_of_attribution_patching() -> None:
    model = random_model(TASK.vocabulary, n_layers=2)
    heads, mlps = (
        analysis(model, TASK, length=3, n=4, generator=seeded(5))
        for analysis in (AttributionPatching(site="z"), AttributionPatching(site="mlp_out", by="layer"))
    )
    names = [*map(str, all_heads(model.config)), *map(str, all_parts(model.config, "mlp"))]  # as the tables have them
    scores = dict(zip(names, [*heads["score"].tolist(), *mlps["score"].tolist()], strict=True))
    wanted = sorted(scores, key=scores.__getitem__, reverse=True)[:4]
    both = pd.concat([heads, mlps], ignore_index=True)
    assert list(map(str, top_nodes(both, model.config, n=4, by="score"))) == wanted
    assert set(map(str, Circuit.top_nodes(both, model.config, n=4).nodes)) == set(wanted)


ALLOWED = "is no node's; allowed are heads of site 'z', and site 'mlp_out' without a head"


@pytest.mark.parametrize(
    ("scores", "n", "text"),
    [
        (SCORES.drop(columns="site"), 1,
         ("the table of scores has no column 'site'; it needs site, layer, head and score, one row for each head "
          "(site z) and MLP (site mlp_out, no head)")),
        (table(("q", 0, 0, 1.0)), 1,
         f"a row of site 'q' with head 0 {ALLOWED}"),
        (table(("z", 0, None, 1.0)), 1,
         f"a row of site 'z' without a head {ALLOWED}"),
        (table(("mlp_out", 2, None, 1.0)), 1, "node 2.mlp does not exist: the model has 2 layers of 2 heads"),
        (table(("z", 0, 2, 1.0)), 1, "node 0.2 does not exist: the model has 2 layers of 2 heads"),
        (pd.concat([SCORES, SCORES]), 1, "node 0.mlp is named twice; give one score for each, over all positions"),
        (table(("z", 0, 1, float("nan"))), 1, "node 0.1 has score nan; scores must be finite"),
        (SCORES, 7, "n = 7 nodes cannot be chosen: 6 have scores; allowed are 0 to 6"),
        (SCORES, -1, "n = -1 nodes cannot be chosen: 6 have scores; allowed are 0 to 6"),
    ],
)  # fmt: skip
def test_refused(scores: pd.DataFrame, n: int, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        Circuit.top_nodes(scores, HAND, n=n)
    assert str(caught.value) == text


def test_unknown_order_is_refused(unchecked: None) -> None:
    with pytest.raises(UnknownNameError) as caught:
        Circuit.top_nodes(SCORES, HAND, n=1, by="magnitudes")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "unknown order 'magnitudes'; did you mean 'magnitude'? the orders are score and magnitude"
    )
