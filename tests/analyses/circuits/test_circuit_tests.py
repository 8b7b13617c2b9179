"""Faithfulness, completeness and minimality with their nulls: hand-worked values, p-values recomputed."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import false_discovery_control

from analyses.circuits import Circuit, CircuitMinimality, CircuitTests, circuit_tests, minimality
from analyses.examples import Examples, Running
from analyses.journal import Journal
from analyses.statistics.resampling import bootstrap_counts
from tasks import InvalidValueError, UnknownNameError
from tests.analyses.circuits.models import (
    HAND,
    TASK,
    hand_circuit,
    hand_examples,
    hand_pair,
    reference_logits,
)
from tests.analyses.models import hand_model, random_model, seeded

PATH = "embed->0.0.v 0.0->0.mlp 0.mlp->logits"


@torch.no_grad()
def share(circuit: Circuit) -> float:
    """f of a circuit of the hand-set model, by the reference: m(empty) is 2.5, m(full) 5.5, and b's logit 0."""
    pair = hand_pair()
    logits = reference_logits(
        hand_model(), pair.clean.inputs, pair.counterfactual.inputs, set(circuit), predicting=pair.clean.predicting
    )
    return round((logits[:, 2].mean().item() - 2.5) / 3, 5)


@pytest.mark.parametrize("match", ["inputs", "size"])
def test_hand_worked_faithfulness_and_completeness(match: Any) -> None:
    # Alone the path gives 9 and 4 (f = 4/3); without it the model gives 4 and 1, as far from the clean run as the
    # counterfactual one: mean 2.5, f = 0 (tests of `run_edge_sets`).
    circuit, draws = hand_circuit(PATH), 30
    tests = CircuitTests(match=match, draws=draws, bootstraps=40)
    table = tests.of_examples(hand_model(), hand_examples(), circuit=circuit, generator=seeded(5))
    assert list(table.columns) == circuit_tests.COLUMNS
    assert table["test"].tolist() == ["faithfulness", "completeness"]
    assert table["direction"].tolist() == ["nearer to 1", "nearer to 0"]
    assert table["value"].tolist() == pytest.approx([4 / 3, 0], abs=1e-5)
    # Completeness rests on 4 - 5 = -1 and 1 - 0 = 1, over 3: it may be -1/3 and 1/3 as one example is drawn or other.
    assert table["low"].tolist() == pytest.approx([4 / 3, -1 / 3], abs=1e-5)
    assert table["high"].tolist() == pytest.approx([4 / 3, 1 / 3], abs=1e-5)
    assert (
        table[["metric", "edges", "null", "m", "n", "seed"]].to_numpy().tolist()
        == [["logit_difference", 3, match, draws, 2, 5]] * 2
    )

    generator = seeded(5)  # as it stands after the bootstrap samples
    bootstrap_counts(2, draws=40, generator=generator)
    null = [Circuit.random(circuit, generator=generator, match=match) for _ in range(draws)]
    for row, shares, best in zip(
        table.to_dict("records"),
        ([share(one) for one in null], [share(one.complement()) for one in null]),
        (1, 0),
        strict=True,
    ):
        near = sum(abs(one - best) <= abs(row["value"] - best) + 1e-5 for one in shares)
        assert row["p"] == (near + 1) / (draws + 1)
        assert row["null_mean"] == pytest.approx(np.mean(shares), abs=1e-4)
        assert row["null_low"] == pytest.approx(np.quantile(shares, 0.025), abs=1e-4)
        assert row["null_high"] == pytest.approx(np.quantile(shares, 0.975), abs=1e-4)


def test_hand_worked_minimality() -> None:
    # The circuit lacks 0.0->1.0.v alone, so every inflated circuit is the whole model (8, 3), and without that edge it
    # is the circuit again (10, 5): every null change is 2 / 3.
    # embed->0.0.v away:  middle 4, 0 and 0, -2, but 1.0 reads 4 - 4 and 0 - 2 as before: 0 - 2 + 4, 0 + 1 + 0 = 2, 1
    #                     loss (7.5 - 1.5) / 3 = 2; 8/3 and 4/3 by example
    # 0.mlp->logits away: 2 - 2 + 8 and 0 + 1 + 2 = 8, 3: loss (7.5 - 5.5) / 3 = 2/3, as the null
    # 1.0->logits away:   4 - 3 + 8 and 2 + 0 + 2 = 9, 4: loss (7.5 - 6.5) / 3 = 1/3
    # 0.1->1.0.v away:    1.0 reads the other run's 4, 2 and 0, 0: 4 - 3 + 8 = 9 and 2 - 0 + 2 = 4: loss 1/3
    # embed->0.1.v away:  0.1 writes -2 and 0: 0.mlp 6 and 4, 1.0 reads 4, 4 - 2 and 0, 0, 1.1 4, 6 and 0, 4:
    #                     6 - 3 + 10 = 13, 4 - 0 + 4 = 8: loss (7.5 - 10.5) / 3 = -1, the circuit is better without it
    circuit = hand_circuit("-0.0->1.0.v")
    test = CircuitMinimality(draws=9, bootstraps=40)
    table = test.of_examples(hand_model(), hand_examples(), circuit=circuit, generator=seeded(5))
    assert list(table.columns) == minimality.COLUMNS
    assert table["edge"].tolist() == [str(edge) for edge in circuit]
    assert table["null_mean"].tolist() == pytest.approx([2 / 3] * 45, abs=1e-5)
    assert table["null_high"].tolist() == pytest.approx([2 / 3] * 45, abs=1e-5)
    rows = {row["edge"]: row for row in table.to_dict("records")}
    for edge, value, loss, p in (
        ("embed->0.0.v", 1.5, 2, 0.1),
        ("embed->0.1.v", 10.5, -1, 0.1),
        ("0.mlp->logits", 5.5, 2 / 3, 1),
        ("1.0->logits", 6.5, 1 / 3, 1),
        ("0.1->1.0.v", 6.5, 1 / 3, 1),
        ("embed->0.0.q", 7.5, 0, 1),
        ("0.0->logits", 7.5, 0, 1),
    ):
        row = rows[edge]
        assert row["value"] == pytest.approx(value, abs=1e-5)
        assert (row["loss"], row["change"]) == pytest.approx((loss, abs(loss)), abs=1e-5)
        assert row["p"] == p
        spread = 2 / 3 if edge == "embed->0.0.v" else 0  # of all other edges, both examples alike
        assert (row["low"], row["high"]) == pytest.approx((loss - spread, loss + spread), abs=1e-5)
    # Benjamini-Hochberg: of 45 sorted p-values, the least of p * 45 / rank at or behind each rank.
    p = table["p"].to_numpy()
    ranks = [(p <= one).sum() for one in p]
    q = [min(other * 45 / rank for other, rank in zip(p, ranks, strict=True) if other >= one) for one in p]
    np.testing.assert_allclose(table["q"], q)
    np.testing.assert_allclose(table["q"], false_discovery_control(p))


def test_inflated_circuits_are_the_circuit_and_one_path() -> None:
    circuit, generator = hand_circuit(PATH), seeded(0)
    outside = circuit.complement().edges
    for _ in range(50):
        larger, without = minimality._inflated(circuit, outside, generator)
        assert set(circuit) <= set(without) < set(larger)
        (edge,) = set(larger) - set(without)
        assert edge in outside
        assert edge in larger.pruned()  # it lies on a way from the embedding to the logits


@pytest.mark.parametrize(
    "analysis", [CircuitTests("kl", draws=5, bootstraps=10), CircuitMinimality("kl", draws=5, bootstraps=10)]
)
def test_draws_from_the_task_and_is_reproducible(analysis: CircuitTests | CircuitMinimality) -> None:
    model = random_model(TASK.vocabulary, n_layers=1)
    circuit = Circuit.random(
        Circuit.whole(model.config).minus(Circuit.whole(model.config).edges[::2]), generator=seeded()
    )
    tables = [analysis(model, TASK, circuit=circuit, length=4, n=30, generator=seeded(seed)) for seed in (5, 5, 6)]
    columns = (circuit_tests if isinstance(analysis, CircuitTests) else minimality).COLUMNS
    assert list(tables[0].columns) == ["task", "length", *columns]
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])
    assert tables[0][["task", "length", "n", "seed"]].drop_duplicates().to_numpy().tolist() == [["copy", 4, 30, 5]]
    generator = seeded(5)
    pair = TASK.counterfactual(TASK.sample(30, length=4, generator=generator, stream="test"), generator=generator)
    assert (
        tables[0]
        .drop(columns=["task", "length"])
        .equals(analysis.of_examples(model, Examples.of_pair(pair), circuit=circuit, generator=generator))
    )


@pytest.mark.parametrize("analysis", [CircuitTests(draws=5), CircuitMinimality(draws=5)])
def test_interrupted_goes_on(analysis: CircuitTests | CircuitMinimality, tmp_path: Path) -> None:
    circuit, path, seen = hand_circuit("-0.0->1.0.v"), tmp_path / "kept.journal", list[int]()

    def table(running: Running) -> pd.DataFrame:
        examples = hand_examples()
        return analysis.of_examples(hand_model(), examples, circuit=circuit, generator=seeded(5), running=running)

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == 2:
            raise KeyboardInterrupt

    at_once = table(Running(token_budget=40))
    with pytest.raises(KeyboardInterrupt):
        table(Running(token_budget=40, on_done=stop, journal=Journal(path)))
    kept = path.read_bytes()
    assert table(Running(token_budget=40, journal=Journal(path))).equals(at_once)
    assert path.read_bytes() == kept  # what runs before, without a journal, left it alone


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: CircuitTests(draws=0), "draws = 0 is not possible; allowed is 1 or more"),
        (lambda: CircuitTests(bootstraps=0), "bootstraps = 0 is not possible; allowed is 1 or more"),
        (lambda: CircuitMinimality(draws=0), "draws = 0 is not possible; allowed is 1 or more"),
        (lambda: CircuitMinimality().of_examples(
            hand_model(), hand_examples(), circuit=Circuit((), HAND), generator=seeded()),
         "a circuit of no edges has none to test; give a circuit of one edge or more"),
        (lambda: CircuitMinimality()(
            hand_model(), TASK, circuit=Circuit.whole(HAND), length=3, n=2, generator=seeded()),
         "the circuit holds all 46 edges of the model, so there are none outside to compare with; give a smaller one"),
        (lambda: CircuitTests()(
            random_model(TASK.vocabulary, n_layers=2, n_heads=2), TASK, circuit=Circuit.whole(HAND), length=3, n=1,
            generator=seeded()),
         "n = 1 examples give no interval; allowed is 2 or more"),
    ],
)  # fmt: skip
def test_refused(unchecked: None, make: Any, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        make()
    assert str(caught.value) == text


def test_unknown_metric_is_refused() -> None:
    for analysis in (CircuitTests, CircuitMinimality):
        with pytest.raises(UnknownNameError, match="unknown metric 'nil'; did you mean 'nll'"):
            analysis(metric="nil")


def test_unknown_match_is_refused(unchecked: None) -> None:
    with pytest.raises(UnknownNameError) as caught:
        CircuitTests(match="sizes")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "unknown match 'sizes'; did you mean 'size'? a random circuit can match inputs or size"
    )
