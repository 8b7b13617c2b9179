"""Reuse against transfer over training: signs, shifts counted one by one, what is pooled, and unrelated series."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from analyses import association
from analyses.reuse.association import COLUMNS, NULL
from tasks import InvalidValueError
from tests.analyses.models import seeded
from tests.analyses.reuse.hand_trajectories import trajectories

RANDOM = np.random.default_rng(5)
REUSE, GAP = RANDOM.normal(size=(2, 3, 8)).cumsum(axis=2)  # three seeds, eight checkpoints


def loop(values: np.ndarray) -> np.ndarray:
    """The series less the line through its ends, without the first point, which is the last again: by its formula."""
    count = len(values) - 1
    return np.array([values[t] - values[0] - t / count * (values[-1] - values[0]) for t in range(1, count + 1)])


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    return float(scipy.stats.spearmanr(one, other).statistic)


def of(table: pd.DataFrame, quantity: str, outcome: str, level: str = "pooled") -> pd.DataFrame:
    return table[(table["quantity"] == quantity) & (table["outcome"] == outcome) & (table["level"] == level)]


def test_per_seed_by_enumeration_of_all_shifts() -> None:
    table = association(trajectories({("cosine", "nll"): REUSE, "gap": GAP}), draws=50, generator=seeded())
    assert list(table.columns) == COLUMNS
    rows = of(table, "cosine", "gap", "seed")
    assert rows["seed"].tolist() == [0, 1, 2]
    for seed, row in enumerate(rows.to_dict("records")):
        one, two = loop(REUSE[seed]), loop(GAP[seed])
        assert row["spearman"] == pytest.approx(spearman(REUSE[seed], GAP[seed]))
        assert row["detrended"] == pytest.approx(spearman(one, two))
        turned = [spearman(one, np.roll(two, shift)) for shift in range(1, 7)]
        at_least = sum(abs(value) >= abs(row["detrended"]) - 1e-9 for value in turned)
        assert row["p"] == pytest.approx((at_least + 1) / 7)
        raw = [spearman(REUSE[seed], np.roll(GAP[seed], shift)) for shift in range(1, 8)]
        at_least = sum(abs(value) >= abs(row["spearman"]) - 1e-9 for value in raw)
        assert row["raw_p"] == pytest.approx((at_least + 1) / 8)
        assert (row["shifts"], row["checkpoints"], row["n"], row["seeds"], row["null"]) == (6, 8, 8, 1, NULL)
    assert rows[["low", "high", "detrended_low", "detrended_high"]].isna().all(axis=None)
    assert len(set(rows["p"])) > 1, "numbers that could be wrong"


def test_pooled_is_the_mean_over_seeds_with_its_t_interval() -> None:
    table = association(trajectories({("cosine", "nll"): REUSE, "gap": GAP}), draws=20_000, generator=seeded())
    (row,) = of(table, "cosine", "gap").to_dict("records")
    for name, values in (
        ("spearman", [spearman(*both) for both in zip(REUSE, GAP, strict=True)]),
        ("detrended", [spearman(loop(one), loop(two)) for one, two in zip(REUSE, GAP, strict=True)]),
    ):
        mean, deviation = np.mean(values), np.std(values, ddof=1)
        half = 4.302653 * deviation / 3**0.5  # t(2)
        ends = ("low", "high") if name == "spearman" else ("detrended_low", "detrended_high")
        assert row[name] == pytest.approx(mean)
        assert row[ends[0]] == pytest.approx(max(-1, mean - half), rel=1e-5)
        assert row[ends[1]] == pytest.approx(min(1, mean + half), rel=1e-5)
    assert (row["seeds"], row["shifts"], row["seed"]) == (3, 20_000, None)
    # All 7 x 7 x 7 shifts of the three loops, against the random ones.
    turned = [
        [spearman(loop(one), np.roll(loop(two), shift)) for shift in range(7)]
        for one, two in zip(REUSE, GAP, strict=True)
    ]
    exact = np.mean([abs(np.mean(each)) >= abs(row["detrended"]) - 1e-9 for each in itertools.product(*turned)])
    assert 0.02 < exact < 0.98, "a p that could be wrong"
    assert row["p"] == pytest.approx(exact, abs=5 * (0.25 / 20_000) ** 0.5)


def test_a_seed_beside_its_own_transfer_and_beside_that_of_other_seeds() -> None:
    table = association(trajectories({("cosine", "nll"): REUSE, "gap": GAP}), draws=9, generator=seeded())
    orders = list(itertools.permutations(range(3)))
    means = [np.mean([spearman(REUSE[seed], GAP[order[seed]]) for seed in range(3)]) for order in orders]
    tails = [sum(sign * (mean - means[0]) >= -1e-9 for mean in means) for sign in (1, -1)]
    (row,) = of(table, "cosine", "gap").to_dict("records")
    assert row["seeds_p"] == pytest.approx(min(1, 2 * min(tails) / 6))
    assert row["pairings"] == 5
    rows = of(table, "cosine", "gap", "seed")
    assert rows[["seeds_p", "seeds_q"]].isna().all(axis=None)
    assert set(rows["pairings"]) == {0}


def test_what_every_seed_has_alike_is_in_every_pairing() -> None:
    # One curve, the same in all seeds: beyond its trend it goes with itself, but no more in a seed than between seeds.
    curve = np.broadcast_to(1 - np.exp(-np.arange(20) / 4), (4, 20))
    table = association(trajectories({"offset_cosine": curve, "accuracy": curve}), draws=199, generator=seeded())
    (row,) = of(table, "offset_cosine", "accuracy").to_dict("records")
    assert (row["detrended"], row["p"]) == (pytest.approx(1), 1 / 200)
    assert row["seeds_p"] == 1
    # With a course of its own each seed goes with itself more than with the others: twice 1 of 24 pairings.
    own = curve + np.random.default_rng(0).normal(size=(4, 20)).cumsum(axis=1)
    table = association(trajectories({"offset_cosine": own, "accuracy": own}), draws=199, generator=seeded())
    assert of(table, "offset_cosine", "accuracy")["seeds_p"].tolist() == pytest.approx([2 / 24])


def test_expected_is_the_sign_if_reuse_goes_with_transfer() -> None:
    series = {("cosine", "nll"): REUSE, ("mean_absolute_difference", "accuracy"): REUSE, "gap": GAP}
    table = association(trajectories(series), draws=9, generator=seeded())
    found = table.groupby(["quantity", "outcome"])["expected"].unique().map(list).to_dict()
    assert found == {
        ("cosine", "gap"): [-1], ("cosine", "accuracy"): [1], ("cosine", "nll"): [-1],
        ("mean_absolute_difference", "gap"): [1], ("mean_absolute_difference", "accuracy"): [-1],
        ("mean_absolute_difference", "nll"): [1],
    }  # fmt: skip


def test_a_constant_series_goes_with_nothing() -> None:
    table = association(trajectories({"offset_cosine": REUSE, "gap": np.ones((3, 8))}), draws=9, generator=seeded())
    assert (table[["spearman", "detrended"]] == 0).all(axis=None)
    assert (table[["p", "q", "raw_p"]] == 1).all(axis=None)
    pooled = of(table, "offset_cosine", "gap")
    assert (pooled[["low", "high", "detrended_low", "detrended_high"]] == 0).all(axis=None)


def test_series_that_only_grow_are_alike_but_not_beyond_their_trends() -> None:
    steps = np.arange(20.0)
    table = association(
        trajectories({"offset_cosine": np.stack([steps, steps]), "accuracy": np.stack([3 * steps, steps])}), draws=99,
        generator=seeded(),
    )  # fmt: skip
    (row,) = of(table, "offset_cosine", "accuracy").to_dict("records")
    assert row["spearman"] == pytest.approx(1)
    assert (row["detrended"], row["p"]) == (0, 1)
    assert row["raw_p"] == pytest.approx(1 / 100), "the raw series are called related"


def test_a_series_goes_with_itself() -> None:
    both = np.random.default_rng(1).normal(size=(3, 30)).cumsum(axis=1)
    table = association(trajectories({"offset_cosine": both, "accuracy": both}), draws=199, generator=seeded())
    (row,) = of(table, "offset_cosine", "accuracy").to_dict("records")
    assert (row["spearman"], row["detrended"]) == (pytest.approx(1), pytest.approx(1))
    assert row["p"] == 1 / 200


def test_q_is_over_the_measures_of_one_level_and_outcome() -> None:
    first = trajectories({("cosine", "nll"): REUSE, "offset_cosine": GAP, "gap": GAP})
    second = trajectories({("cosine", "nll"): GAP, "gap": REUSE}, auxiliary="reverse")
    table = association(pd.concat([first, second]), draws=99, generator=seeded())
    sizes = table.groupby(["level", "outcome"])["family"].unique().map(list).to_dict()
    assert sizes == {
        (level, outcome): [size]
        for level, size in (("seed", 9), ("pooled", 3))
        for outcome in ("gap", "accuracy", "nll")
    }
    for _, part in table.groupby(["level", "outcome"]):
        assert part["q"].tolist() == pytest.approx(scipy.stats.false_discovery_control(part["p"]))
        if part["level"].iloc[0] == "pooled":
            corrected = scipy.stats.false_discovery_control(part["seeds_p"].astype(float))
            assert part["seeds_q"].tolist() == pytest.approx(corrected)
    assert set(table["correction"]) == {"Benjamini-Hochberg"}
    assert len(table) == 3 * 3 * (3 + 1)


def test_one_seed_is_not_pooled() -> None:
    table = association(trajectories({"offset_cosine": REUSE[:1], "gap": GAP[:1]}), draws=9, generator=seeded())
    assert set(table["level"]) == {"seed"}
    assert table["seed"].tolist() == [0, 0, 0]
    assert table[["seeds_p", "seeds_q"]].isna().all(axis=None)


def test_the_same_seed_gives_the_same_table() -> None:
    made = trajectories({"offset_cosine": REUSE, "gap": GAP})
    first, again = (association(made, draws=50, generator=seeded(1)) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)


def test_too_few_checkpoints_or_shifts_are_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        association(trajectories({"offset_cosine": REUSE[:, 1:], "gap": GAP[:, 1:]}), draws=9, generator=seeded())
    assert str(caught.value) == "7 points are too few to compare with shifts of them; use 8 checkpoints or more"
    with pytest.raises(InvalidValueError) as caught:
        association(trajectories({"offset_cosine": REUSE, "gap": GAP}), draws=0, generator=seeded())
    assert str(caught.value) == "draws = 0 is not possible; allowed is 1 or more"
