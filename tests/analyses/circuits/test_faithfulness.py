"""Faithfulness curves: hand-worked shares, CPR and CMD, intervals, errors."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from analyses.circuits import Circuit, Curve, FaithfulnessCurve, run_edge_sets
from analyses.circuits import curve as curves
from analyses.circuits.recovery import Recovery, share_p
from analyses.examples import Examples
from analyses.metrics import get_metric
from analyses.statistics.resampling import bootstrap_counts
from tasks import Batch, InvalidValueError, Pair, UnknownNameError
from tests.analyses.circuits.models import HAND, TASK, drawn_pair, hand_examples, hand_pair
from tests.analyses.models import hand_model, random_model, seeded

PATH = ("embed->0.0.v", "0.0->0.mlp", "0.mlp->logits")


def scores_of(best: tuple[str, ...]) -> pd.DataFrame:
    """Scores of all 46 edges of the hand-set model: some of them 1, the first the best, and all others 0."""
    rows = [(str(edge.sender), str(edge.receiver), 0.0) for edge in Circuit.whole(HAND)]
    table = pd.DataFrame(rows, columns=["sender", "receiver", "score"])
    names = table["sender"] + "->" + table["receiver"]
    for place, name in enumerate(best):
        table.loc[names == name, "score"] = 1 - place / 100
    return table


def curve_of(values: list[list[float]], *, sizes: tuple[float, ...], counts: list[list[int]]) -> Curve:
    """A curve whose ends are 0 and 1, 3 for two examples."""
    n = len(values[0])
    recovery = Recovery(np.array([1.0, 3.0][:n]), np.zeros(n), np.array(counts), seed=7)
    circuits = (Circuit((), HAND),) * len(sizes)
    return Curve(get_metric("logit_difference"), "score", sizes, circuits, np.array(values), recovery)


def test_hand_worked_curve() -> None:
    # 46 edges. Shares .07, .5 and 1 of them: 3 edges, the path (tests of `run_edge_sets`: 9, 4), 23, and 46 (8, 3);
    # m(full) = (8 + 3) / 2, m(empty) = (5 + 0) / 2, so f = (m - 2.5) / 3: of the path (6.5 - 2.5) / 3 = 4/3.
    # 23 edges: the path and the first 20 others: all 6 of layer 0 (5 more), embed and 0.1 into 0.mlp, 13 of layer 1's
    # queries and keys, which do nothing: heads 0.0, 0.1 and 0.mlp as in the clean run, 1.0 and 1.1 as in the other,
    # 4 - 3 + 6 = 7 and 2 + 0 + 0 = 2; f = (4.5 - 2.5) / 3 = 2/3.
    curve = FaithfulnessCurve(sizes=(0.01, 0.07, 0.5, 1.0))
    found = curve.of_examples(hand_model(), hand_examples(), scores=scores_of(PATH), generator=seeded())
    table = found.table()
    assert list(table.columns) == curves.COLUMNS
    assert table["edges"].tolist() == [0, 3, 23, 46]
    assert table["value"].tolist() == pytest.approx([2.5, 6.5, 4.5, 5.5])
    assert table["faithfulness"].tolist() == pytest.approx([0, 4 / 3, 2 / 3, 1], abs=1e-6)
    # The numerators of both examples are alike, and the denominators too: every bootstrap sample has the same ratio.
    assert table["low"].tolist() == pytest.approx(table["faithfulness"].tolist(), abs=1e-6)
    assert table["high"].tolist() == pytest.approx(table["faithfulness"].tolist(), abs=1e-6)
    about = table[["metric", "choose", "full", "empty", "n", "seed"]].drop_duplicates()
    assert about.to_numpy().tolist() == [["logit_difference", "score", pytest.approx(5.5), 2.5, 2, 0]]


def test_a_metric_that_falls_gives_the_same_kind_of_share() -> None:
    # kl: 0 in the clean run, positive in the other: f = 1 - kl / kl(empty), so 1 for the whole and 0 for nothing.
    curve = FaithfulnessCurve(metric="kl", sizes=(0.0, 0.5, 1.0))
    pair = Pair(hand_pair().clean[:1], hand_pair().counterfactual[:1])
    pair = Pair(
        *(type(side)(side.tokens.repeat(2, 1), side.scored.repeat(2, 1)) for side in (pair.clean, pair.counterfactual))
    )
    found = curve.of_examples(hand_model(), Examples.of_pair(pair), scores=scores_of(PATH), generator=seeded())
    kl = run_edge_sets(hand_model(), Examples.of_pair(pair), [found.circuits[1]], metrics=["kl"])
    expected = 1 - kl.circuits["kl"].mean() / kl.counterfactual["kl"].mean()
    assert found.table()["faithfulness"].tolist() == pytest.approx([0, expected.item(), 1], abs=1e-6)


def test_cpr_and_cmd_of_a_hand_made_curve() -> None:
    # Means 0, 1, 3 over examples whose gap is 2: f = 0, .5, 1.5 at 0, .5, 1.
    # CPR = .5 * .25 + .5 * 1 = .625; |1 - f| = 1, .5, .5: CMD = .5 * .75 + .5 * .5 = .625.
    # Drawn (2, 0): gap 1, values 0, 2, 2: f = 0, 2, 2: CPR = .5 + 1 = 1.5, |1 - f| = 1, 1, 1: CMD = 1.
    # Drawn (0, 2): gap 3, values 0, 0, 4: f = 0, 0, 4/3: CPR = 0 + 1/3, |1 - f| = 1, 1, 1/3: CMD = .5 + 1/3.
    values, sizes = [[0.0, 0.0], [2.0, 0.0], [2.0, 4.0]], (0.0, 0.5, 1.0)
    for counts, cpr, cmd in (([[2, 0]], 1.5, 1), ([[0, 2]], 1 / 3, 5 / 6), ([[1, 1]], 0.625, 0.625)):
        summary = curve_of(values, sizes=sizes, counts=counts).summary().set_index("measure")
        assert summary["value"].tolist() == pytest.approx([0.625, 0.625])
        assert summary.index.tolist() == ["CPR", "CMD"]
        for end in ("low", "high"):  # one bootstrap sample: both ends are its own
            assert summary[end].tolist() == pytest.approx([cpr, cmd])
        assert summary[["n", "seed"]].to_numpy().tolist() == [[2, 7], [2, 7]]


def test_a_curve_that_is_always_the_model_has_the_span_as_cpr_and_no_distance() -> None:
    sizes = FaithfulnessCurve().sizes
    summary = curve_of([[1.0, 3.0]] * 10, sizes=sizes, counts=[[1, 1], [2, 0]]).summary()
    assert summary["value"].tolist() == pytest.approx([0.999, 0])
    assert summary["low"].tolist() == summary["high"].tolist() == pytest.approx([0.999, 0])


def test_bootstrap_samples_without_a_gap_are_left_out() -> None:
    recovery = Recovery(np.array([1.0, 0.0]), np.zeros(2), np.array([[1, 1], [0, 2], [2, 0]]), seed=0)
    draws = recovery.draws(np.array([[0.5, 0.25]]))
    np.testing.assert_allclose(draws, [[0.75], [np.nan], [0.5]])


def test_intervals_are_percentiles_of_ratios_of_means() -> None:
    model, pair = random_model(TASK.vocabulary, n_layers=2), drawn_pair(40)
    circuit = Circuit.random(
        Circuit.whole(model.config).minus(Circuit.whole(model.config).edges[::3]), generator=seeded(1)
    )
    examples = Examples.of_pair(pair)
    run = run_edge_sets(model, examples, [circuit], metrics=["kl"])
    clean, empty = (side["kl"].numpy() for side in (run.clean, run.counterfactual))
    values = run.circuits["kl"][0].numpy()
    recovery = Recovery.of(
        model, examples, metric=get_metric("kl"), bootstraps=50, generator=seeded(9), token_budget=100
    )
    counts = bootstrap_counts(40, draws=50, generator=seeded(9))
    ratios = []
    for draw in counts:
        rows = np.repeat(np.arange(40), draw)
        ratios.append((values[rows].mean() - empty[rows].mean()) / (clean[rows].mean() - empty[rows].mean()))
    np.testing.assert_allclose(recovery.draws(values[None])[:, 0], ratios)
    assert recovery.share(values[None])[0] == pytest.approx(
        (values.mean() - empty.mean()) / (clean.mean() - empty.mean())
    )


@pytest.mark.parametrize("choose", ["score", "magnitude", "greedy"])
def test_draws_from_the_task_and_is_reproducible(choose: Any) -> None:
    model = random_model(TASK.vocabulary, n_layers=1)
    whole = Circuit.whole(model.config)
    scores = pd.DataFrame({
        "sender": [str(edge.sender) for edge in whole], "receiver": [str(edge.receiver) for edge in whole],
        "score": torch.randn(len(whole), generator=seeded(0)).tolist(),
    })  # fmt: skip
    curve = FaithfulnessCurve(metric="kl", choose=choose, bootstraps=20)
    tables = [curve(model, TASK, scores=scores, length=4, n=30, generator=seeded(seed)) for seed in (5, 5, 6)]
    assert list(tables[0].columns) == ["task", "length", *curves.COLUMNS]
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])
    assert tables[0][["task", "length", "n", "seed"]].drop_duplicates().to_numpy().tolist() == [["copy", 4, 30, 5]]
    assert tables[0]["faithfulness"].iloc[-1] == pytest.approx(1, abs=1e-5)
    assert (tables[0]["low"] <= tables[0]["high"]).all()
    # The same from the pair, as `__call__` draws it.
    generator = seeded(5)
    pair = TASK.counterfactual(TASK.sample(30, length=4, generator=generator, stream="test"), generator=generator)
    from_pair = curve.of_examples(model, Examples.of_pair(pair), scores=scores, generator=generator).table()
    pd.testing.assert_frame_equal(tables[0].drop(columns=["task", "length"]), from_pair)


def test_examples_hold_what_the_curve_is_made_of() -> None:
    curve = FaithfulnessCurve(sizes=(0.07, 1.0))
    found = curve.of_examples(hand_model(), hand_examples(), scores=scores_of(PATH), generator=seeded())
    table = found.examples()
    assert table["value"].tolist() == pytest.approx([9, 4, 8, 3])
    assert table[["size", "example"]].to_numpy().tolist() == [[0.07, 0], [0.07, 1], [1, 0], [1, 1]]
    assert table["full"].tolist() == pytest.approx([8, 3] * 2)
    assert table["empty"].tolist() == pytest.approx([5, 0] * 2)


def test_p_values_tie_up_to_rounding() -> None:
    assert share_p(1e-8, np.array([0.0, 0.0, 0.0]), alike=1) == 1
    assert share_p(0.5, np.array([0.5 + 1e-9, 0.4, 0.6]), alike=1) == 0.75
    assert share_p(0.5, np.array([0.5 + 1e-9, 0.4, 0.6]), alike=-1) == 0.75
    assert share_p(2.0, np.zeros(99), alike=1) == 0.01


# ------------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: FaithfulnessCurve(bootstraps=0), "bootstraps = 0 is not possible; allowed is 1 or more"),
        (lambda: FaithfulnessCurve(sizes=(0.5, 0.2)),
         "sizes (0.5, 0.2) make no curve; give two or more shares of the edges, rising, from 0 to 1"),
        (lambda: FaithfulnessCurve(sizes=(0.5, 1.5)),
         "sizes (0.5, 1.5) make no curve; give two or more shares of the edges, rising, from 0 to 1"),
        (lambda: FaithfulnessCurve().of_examples(
            hand_model(), hand_examples(), scores=scores_of(PATH).iloc[:40], generator=seeded()),
         "n = 46 edges cannot be chosen: 40 have scores; allowed are 0 to 40"),
        (lambda: FaithfulnessCurve()(
            random_model(TASK.vocabulary, n_layers=2, n_heads=2), TASK, scores=scores_of(PATH), length=3, n=1,
            generator=seeded()),
         "n = 1 examples give no interval; allowed is 2 or more"),
        (lambda: FaithfulnessCurve().of_examples(
            hand_model(), Examples(hand_pair().clean[:1], hand_pair().counterfactual[:1]), scores=scores_of(PATH),
            generator=seeded()),
         "n = 1 examples give no interval; allowed is 2 or more"),
    ],
)  # fmt: skip
def test_refused(unchecked: None, make: Any, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        make()
    assert str(caught.value) == text


def test_without_a_gap_faithfulness_is_undefined() -> None:
    # nll of `aa` and `ba` against runs on `ba` and `aa`: the same two numbers, so the gap is 0.
    scored = hand_pair().clean.scored
    tokens = torch.tensor([[0, 0, 2], [1, 0, 2]])
    other = torch.tensor([[1, 0, 1], [0, 0, 1]])
    pair = Pair(type(hand_pair().clean)(tokens, scored), type(hand_pair().clean)(other, scored))
    curve = FaithfulnessCurve()
    with pytest.raises(InvalidValueError) as caught:
        curve.of_examples(hand_model(), Examples.of_pair(pair), scores=scores_of(PATH), generator=seeded())
    assert str(caught.value) == (
        "faithfulness is undefined: logit_difference is 5.5 in the clean and 5.5 in the counterfactual run, which "
        "differ by 0, less than two standard errors (of 5); use more examples, another metric, or a model that tells "
        "the two apart"
    )


def test_unknown_metric_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown metric 'nil'; did you mean 'nll'"):
        FaithfulnessCurve(metric="nil")


def test_unknown_way_to_choose_is_refused(unchecked: None) -> None:
    with pytest.raises(UnknownNameError) as caught:
        FaithfulnessCurve(choose="greed")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "unknown way to choose edges 'greed'; did you mean 'greedy'? the ways are score, magnitude and greedy"
    )


def test_a_gap_that_overflows_is_no_gap() -> None:
    # The logit is 8 and 3 in the clean, 5 and 0 in the counterfactual run: only the second example's number changes
    # its sign, by more than float64 holds. The mean gap is inf and its standard error nan.
    def huge(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        return ((logits[:, 2] > 2).double() * 2 - 1) * 1.7e308

    with pytest.raises(InvalidValueError, match="^faithfulness is undefined: huge is inf in the clean"):
        FaithfulnessCurve(metric=huge).of_examples(
            hand_model(), hand_examples(), scores=scores_of(PATH), generator=seeded()
        )
