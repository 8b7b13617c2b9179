"""Conditions compared over seeds: every number by hand, p against scipy's, and what is refused."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test

from analyses import isolation_table
from analyses.statistics.seeds import sign_flip_p
from analyses.transfer.isolation_table import COLUMNS, REUSE_COLUMNS, RUN_COLUMNS
from tasks import InvalidValueError

T = 4.302652729911275  # the 97.5 % quantile of Student's t with 2 degrees of freedom

ACCURACY = {
    "auxiliary": (0.5, 0.8, 0.8),
    "alone": (0.1, 0.2, 0.3),
    "control": (0.1, 0.2, 0.3),
    "shuffled": (0.0, 0.3, 0.4),
}
REUSE = {"auxiliary": (0.8, 0.6, 0.7), "control": (0.1, 0.1, 0.1), "shuffled": (-0.9, 0.5, 0.4)}
GAIN, BEHIND, REUSED = ([name, f"{name}_low", f"{name}_high"] for name in ("gain", "behind", "reuse"))
OTHERS = {"auxiliary": "copy", "alone": "", "control": "reverse", "shuffled": "copy"}


def runs(accuracy: dict[str, tuple[float, ...]] | None = None, **settings: object) -> pd.DataFrame:
    """A row per run; seeds from 5 on."""
    rows: list[dict[str, Any]] = []
    for condition, values in (accuracy or ACCURACY).items():
        for place, value in enumerate(values):
            rows.append(
                {
                    "main": "shift", "condition": condition, "others": OTHERS[condition], "seed": 5 + place,
                    "length": 15, "n": 64, "accuracy": value, "own_accuracy": (0.9, 1.0, 1.0)[place % 3],
                    "reuse": REUSE.get(condition, (np.nan,) * 3)[place % 3], "weights": "averaged", "main_length": 10,
                    "auxiliary_length": 20 if OTHERS[condition] else None, "steps": 8, "batch_size": 4,
                    "parameters": 100, "main_examples": 16 if OTHERS[condition] else 32, **settings,
                }
            )  # fmt: skip
    return pd.DataFrame(rows, columns=RUN_COLUMNS).astype({"auxiliary_length": "Int64"})


def chance(**p: float) -> pd.DataFrame:
    """How reuse stands beside chance: a row per condition, with its p."""
    rows = [(condition, "within_layer", 0.05, value, 99) for condition, value in p.items()]
    return pd.DataFrame(rows, columns=REUSE_COLUMNS)


CHANCE = chance(auxiliary=0.01, control=0.4, shuffled=0.03)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return isolation_table(runs(), CHANCE).set_index("condition", drop=False)


def of(table: pd.DataFrame, condition: str, *columns: str) -> list[Any]:
    """Some values of one condition."""
    row = table.to_dict("index")[condition]
    return [row[column] for column in columns]


def test_a_row_per_condition_in_the_order_of_the_runs(table: pd.DataFrame) -> None:
    assert list(table.columns) == COLUMNS
    assert list(table["condition"]) == ["auxiliary", "alone", "control", "shuffled"]
    assert list(table["others"]) == ["copy", "", "reverse", "copy"]
    assert set(table["seeds"]) == {3}
    assert set(zip(table["n"], table["length"], strict=True)) == {(64, 15)}


def test_accuracy_is_a_mean_over_seeds_with_a_t_interval_within_its_range(table: pd.DataFrame) -> None:
    # Mean 0.7, deviations -0.2, 0.1, 0.1: standard deviation sqrt(0.06 / 2) = 0.17321, / sqrt(3) = 0.1; 0.7 +- 0.430,
    # cut off at 1. Alone: 0.2 +- T * 0.1 / sqrt(3) = 0.2 +- 0.248, cut off at 0.
    assert of(table, "auxiliary", "accuracy", "low", "high") == pytest.approx([0.7, 0.7 - T / 10, 1.0])
    assert of(table, "alone", "accuracy", "low", "high") == pytest.approx([0.2, 0.0, 0.2 + T * 0.1 / 3**0.5])
    assert table["own_accuracy"].to_list() == pytest.approx([2.9 / 3] * 4)


def test_gains_are_paired_by_seed(table: pd.DataFrame) -> None:
    # auxiliary: 0.4, 0.6, 0.5, so 0.5 +- T * 0.1 / sqrt(3). control: 0 throughout, no width. shuffled: -0.1, 0.1, 0.1,
    # mean 1/30, deviations -4/30, 2/30, 2/30: sqrt(24 / 900 / 2) = 0.11547, / sqrt(3) = 1/15.
    half = T * 0.1 / 3**0.5
    assert of(table, "auxiliary", *GAIN) == pytest.approx([0.5, 0.5 - half, 0.5 + half])
    assert of(table, "alone", *GAIN) == of(table, "control", *GAIN) == [0.0, 0.0, 0.0]
    assert of(table, "shuffled", *GAIN) == pytest.approx([1 / 30, 1 / 30 - T / 15, 1 / 30 + T / 15])
    assert table["share"].to_list() == pytest.approx([1.0, 0.0, 0.0, 1 / 15])


def test_behind_is_what_the_auxiliary_gives_beyond_the_condition(table: pd.DataFrame) -> None:
    # shuffled: 0.5, 0.5, 0.4: mean 14/30, standard deviation 0.1 / sqrt(3), / sqrt(3) = 1/30.
    assert of(table, "auxiliary", *BEHIND) == [0.0, 0.0, 0.0]
    assert of(table, "alone", *BEHIND) == of(table, "auxiliary", *GAIN)
    assert of(table, "shuffled", *BEHIND) == pytest.approx([14 / 30, 14 / 30 - T / 30, 14 / 30 + T / 30])


def test_p_counts_sign_flips_and_q_corrects_for_the_conditions(table: pd.DataFrame) -> None:
    # auxiliary: of 8 flips of 0.4, 0.6, 0.5 only the measured one sums to 1.5. control: all sums are 0, as measured.
    # shuffled: -0.1, 0.1, 0.1 sum to 0.1; of the 8 sums 0.3, 3 x 0.1, 3 x -0.1, -0.3 four are at least that.
    # Benjamini and Hochberg: 3 * 0.125 = 0.375; 3/2 * 0.5 = 0.75; 1.
    tested = table.drop(index="alone")
    assert tested["p"].to_list() == [0.125, 1.0, 0.5]
    assert tested["q"].to_list() == pytest.approx([0.375, 1.0, 0.75])
    assert set(zip(tested["family"], tested["correction"], strict=True)) == {(3, "Benjamini-Hochberg")}
    assert of(table, "alone", "family", "correction") == [0, ""]
    assert set(tested["null"]) == {"sign flips"}
    assert set(tested["permutations"]) == {8}
    assert set(tested["smallest_p"]) == {0.125}
    assert of(table, "alone", "p", "q", "smallest_p", "null", "permutations") == [None, None, None, "", 0]


def test_reuse_is_missing_where_one_task_is_trained(table: pd.DataFrame) -> None:
    half = T * 0.1 / 3**0.5
    assert of(table, "auxiliary", *REUSED) == pytest.approx([0.7, 0.7 - half, 0.7 + half])
    assert of(table, "control", *REUSED) == pytest.approx([0.1, 0.1, 0.1])
    assert of(table, "shuffled", *REUSED)[1:] == [-1.0, 1.0], "cut off at what a cosine can be"
    assert of(table, "alone", *REUSED) == [None] * 3
    assert str(table["auxiliary_length"].to_list()) == "[20, <NA>, 20, 20]"
    assert table["main_examples"].to_list() == [16, 32, 16, 16]


def test_reuse_stands_beside_chance(table: pd.DataFrame) -> None:
    # Benjamini and Hochberg: .01 * 3, .03 * 3/2, .4; in whatever order the conditions come.
    about = ("reuse_null", "reuse_null_mean", "reuse_p", "reuse_q", "reuse_family", "reuse_permutations")
    assert of(table, "auxiliary", *about) == ["within_layer", 0.05, 0.01, pytest.approx(0.03), 3, 99]
    assert of(table, "shuffled", "reuse_p", "reuse_q") == [0.03, pytest.approx(0.045)]
    assert of(table, "control", "reuse_p", "reuse_q") == [0.4, 0.4]
    assert of(table, "alone", *about) == ["", None, None, None, 0, 0]
    mixed = isolation_table(runs(), CHANCE[::-1]).set_index("condition", drop=False)
    pd.testing.assert_frame_equal(mixed, table)


@pytest.mark.parametrize("auxiliary", [(0.1, 0.2, 0.3), (0.0, 0.1, 0.2)])
def test_without_a_gain_of_the_auxiliary_there_is_nothing_to_share(auxiliary: tuple[float, ...]) -> None:
    found = isolation_table(runs({**ACCURACY, "auxiliary": auxiliary}), CHANCE)
    assert found["share"].to_list() == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("seeds", [2, 3, 6, 9])
def test_p_is_scipy_s(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    differences = rng.normal(0.3, 1.0, seeds).round(1)  # rounded, so that sums tie
    exact = permutation_test(
        (differences, np.zeros(seeds)), lambda x, y, axis: (x - y).mean(axis=axis), permutation_type="samples",
        alternative="greater", n_resamples=2**seeds,
    )  # fmt: skip
    assert sign_flip_p(differences) == pytest.approx(exact.pvalue)


def test_order_of_rows_does_not_matter() -> None:
    mixed = runs().sort_values("seed", ascending=False, kind="stable")
    pd.testing.assert_frame_equal(isolation_table(mixed, CHANCE), isolation_table(runs(), CHANCE))


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (runs({"alone": (0.1, 0.2, 0.3), "control": (0.1, 0.2, 0.3)}),
         "an isolation compares with the condition 'auxiliary', and the runs are of alone, control; train that too"),
        (runs()[:0],
         "an isolation compares with the condition 'auxiliary', and the runs are of none; train that too"),
        (runs({name: values[:1] for name, values in ACCURACY.items()}),
         ("1 seeds are too few to compare conditions over; allowed are 2 to 20, and p is never below 1 / 2^seeds")),
        (runs(dict.fromkeys(("auxiliary", "alone"), (0.5,) * 21)),
         ("21 seeds are too many to compare conditions over; allowed are 2 to 20, and p is never below 1 / 2^seeds")),
        (runs({**ACCURACY, "control": (0.1, 0.2)}),
         "condition 'control' has the seeds 5, 6, and all together have 5, 6, 7; every condition needs each seed once"),
        (pd.concat([runs(), runs()[:1]]),
         ("condition 'auxiliary' has the seeds 5, 5, 6, 7, and all together have 5, 6, 7; every condition needs each "
          "seed once")),
        (pd.concat([runs({"auxiliary": (0.1, 0.2)}, steps=9), runs({"alone": (0.1, 0.2)})]), ""),
        (runs().assign(steps=range(12)),
         "the runs of condition 'auxiliary' differ in steps: 0, 1, 2; compare runs that agree in it"),
        (runs().assign(n=[64] * 11 + [65]), "the runs differ in n: 64, 65; compare runs that agree in it"),
    ],
    ids=["no auxiliary", "nothing", "one seed", "many seeds", "missing", "twice", "fine", "settings", "examples"],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(table: pd.DataFrame, text: str) -> None:
    if not text:  # conditions may differ in their settings
        assert isolation_table(table, chance(auxiliary=0.5))["steps"].to_list() == [9, 8]
        return
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        isolation_table(table, CHANCE)


def test_reuse_that_is_compared_in_other_conditions_is_refused() -> None:
    text = (
        "reuse is measured in auxiliary, control, shuffled, and compared with chance in auxiliary; give what "
        "`Isolation.reuse` finds of the same runs"
    )
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        isolation_table(runs(), chance(auxiliary=0.5))
    text = "reuse is measured in no condition, and compared with chance in auxiliary; give"
    with pytest.raises(InvalidValueError, match=f"^{text}"):
        isolation_table(runs().assign(reuse=np.nan), chance(auxiliary=0.5))


def test_without_reuse_anywhere_it_is_missing() -> None:
    found = isolation_table(runs().assign(reuse=np.nan), chance())
    assert found[["reuse", "reuse_low", "reuse_p", "reuse_q"]].isna().all(axis=None)
    assert set(found["reuse_permutations"]) == {0}


def test_too_many_differences_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="^21 seeds have too many sign flips; allowed are up to 20$"):
        sign_flip_p(np.ones(21))
