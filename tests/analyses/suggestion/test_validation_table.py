"""Scores compared with gains: correlation, exact p, regret, bootstrap, by hand and against scipy."""

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, spearmanr

from analyses import validation_table
from analyses.suggestion.scores import RANKINGS
from analyses.suggestion.validation_table import COLUMNS, gains_table
from tasks import InvalidValueError
from tests.analyses.models import seeded
from tests.analyses.suggestion.numbers import table_of

PAGE = Path(__file__).parents[3] / "docs" / "analyses" / "suggesting.md"

# One seed. map_cosine orders as the gains do, gradient the other way round, attention has one tie, prompts is constant.
GAINS = {"copy": [0.6], "mqar": [0.1], "reverse": [0.2]}
SCORES = {
    "copy": {"map_cosine": [0.9], "gradient": [0.1], "attention": [0.5], "prompts": [1.0]},
    "mqar": {"map_cosine": [0.2], "gradient": [0.7], "attention": [0.5], "prompts": [1.0]},
    "reverse": {"map_cosine": [0.3], "gradient": [0.4], "attention": [0.4], "prompts": [1.0]},
}


Rows = dict[str, dict[str, Any]]


def compared(runs: pd.DataFrame, **settings: int) -> Rows:
    """The row of each score."""
    table = validation_table(runs, **settings, generator=seeded())
    return {row["score"]: {str(name): value for name, value in row.items()} for row in table.to_dict("records")}


def values(row: dict[str, Any], *names: str) -> list[Any]:
    return [row[name] for name in names]


@pytest.fixture(scope="module")
def table() -> Rows:
    return compared(table_of(SCORES, gains=GAINS))


@pytest.mark.parametrize(
    ("score", "spearman", "p"),
    [
        ("map_cosine", 1.0, 1 / 6),  # no other order of three gains agrees as well
        ("gradient", -1.0, 1.0),
        # Ranks of attention 2.5, 2.5, 1 and of the gains 3, 1, 2: (.5, .5, -1) . (1, -1, 0) = 0. All six orders of the
        # gains put their middle one with reverse (0, as here), or the smallest (agrees), or the greatest (does not).
        ("attention", 0.0, 4 / 6),
        ("prompts", 0.0, 1.0),  # constant: 0 by definition, in every order
        ("map_spearman", 0.0, 1.0),
    ],
)
def test_correlation_and_exact_p_by_hand(table: Rows, score: str, spearman: float, p: float) -> None:
    row = table[score]
    assert row["spearman"] == row["spearman_by_seed"] == pytest.approx(spearman)
    assert row["p"] == pytest.approx(p)
    assert (row["permutations"], row["smallest_p"], row["null"]) == (6, pytest.approx(1 / 6), "all orders")


def test_the_interval_by_hand(table: Rows) -> None:
    # Three candidates drawn with replacement: with probability 3 / 27 = 11 % all are one, and there is no order: 0.
    # All other samples have the order of the whole, so the central 95 % begin at 0 and end at 1.
    assert values(table["map_cosine"], "low", "high") == [0.0, pytest.approx(1.0)]
    assert values(table["gradient"], "low", "high") == [pytest.approx(-1.0), 0.0]
    # With four it is 4 / 256 = 1.6 %, less than the 2.5 % that are cut off.
    gains = {**GAINS, "capitalize": [0.0]}
    four = compared(table_of({**SCORES, "capitalize": {"map_cosine": [0.0]}}, gains=gains))
    assert values(four["map_cosine"], "low", "high") == pytest.approx([1.0, 1.0])


def test_regret_is_what_the_choice_costs(table: Rows) -> None:
    columns = ["choice", "choice_gain", "best", "best_gain", "regret", "random_regret"]
    assert values(table["map_cosine"], *columns) == ["copy", 0.6, "copy", 0.6, 0.0, pytest.approx(0.6 - 0.3)]
    assert values(table["gradient"], *columns[:2]) == ["mqar", 0.1]
    assert table["gradient"]["regret"] == pytest.approx(0.5)
    # copy and mqar tie: either could be chosen.
    assert values(table["attention"], "choice", "choice_gain") == ["copy, mqar", pytest.approx(0.35)]
    assert table["attention"]["regret"] == pytest.approx(0.25)
    assert table["prompts"]["regret"] == pytest.approx(0.3), "a score that tells nothing chooses at random"


def test_seeds_are_averaged_first_and_compared_one_by_one_beside_it() -> None:
    # Means: scores .5, .3, .1 and gains .4, .3, .1: one order. Seed 0: scores .9, .3, .0, gains .1, .3, .2: ranks
    # 3 2 1 and 1 3 2: -.5. Seed 1: scores .1, .3, .2, gains .7, .3, .0: ranks 1 3 2 and 3 2 1: -.5.
    scores = {
        "copy": {"map_cosine": [0.9, 0.1]},
        "mqar": {"map_cosine": [0.3, 0.3]},
        "reverse": {"map_cosine": [0.0, 0.2]},
    }
    gains = {"copy": [0.1, 0.7], "mqar": [0.3, 0.3], "reverse": [0.2, 0.0]}
    row = compared(table_of(scores, gains=gains))["map_cosine"]
    assert row["spearman"] == pytest.approx(1.0)
    assert row["spearman_by_seed"] == pytest.approx(-0.5)
    assert (row["choice"], row["regret"], row["seeds"], row["candidates"]) == ("copy", 0.0, 2, 3)


def random_runs(candidates: int) -> pd.DataFrame:
    draws = np.random.default_rng(3)
    names = [f"task{place}" for place in range(candidates)]
    gains = {name: draws.normal(size=2).tolist() for name in names}
    scores = {
        name: {
            "map_cosine": [gain + draws.normal() for gain in gains[name]],
            "early_accuracy": draws.integers(0, 3, size=2).astype(float).tolist(),
        }
        for name in names
    }
    return table_of(scores, gains=gains)


@pytest.mark.parametrize("score", ["map_cosine", "early_accuracy"])
def test_exact_p_is_scipys_over_all_orders(score: str) -> None:
    runs = random_runs(6)
    means = runs.groupby("candidate")[[score, "gain"]].mean()
    observed = spearmanr(means[score], means["gain"]).statistic
    null = [spearmanr(means[score], list(order)).statistic for order in itertools.permutations(means["gain"])]
    row = compared(runs)[score]
    assert row["spearman"] == pytest.approx(observed)
    assert row["p"] == pytest.approx(np.mean(np.array(null) >= observed - 1e-9))
    assert row["permutations"] == 720
    by_seed = [spearmanr(part[score], part["gain"]).statistic for _, part in runs.groupby("seed")]
    assert row["spearman_by_seed"] == pytest.approx(np.mean(by_seed))


def test_with_many_candidates_orders_are_drawn() -> None:
    runs = random_runs(9)
    row = compared(runs, permutations=999)["map_cosine"]
    assert (row["null"], row["permutations"], row["smallest_p"]) == ("random orders", 999, 0.001)
    assert row["p"] * 1000 == pytest.approx(round(row["p"] * 1000))
    means = runs.groupby("candidate")[["map_cosine", "gain"]].mean()
    p = spearmanr(means["map_cosine"], means["gain"], alternative="greater").pvalue
    assert row["p"] == pytest.approx(p, abs=0.03)  # three standard errors of 999 orders, and scipy's is no exact one
    assert compared(runs)["map_cosine"]["permutations"] == 10_000


def test_the_bootstrap_draws_candidates() -> None:
    runs = random_runs(12)
    means = runs.groupby("candidate")[["map_cosine", "gain"]].mean().to_numpy()
    draws = np.random.default_rng(0).integers(12, size=(4000, 12))
    samples = [spearmanr(*means[rows].T).statistic for rows in draws]
    row = compared(runs, bootstraps=4000)["map_cosine"]
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(samples, [0.025, 0.975]), abs=0.06)
    assert row["bootstraps"] == 4000


def test_q_is_over_all_scores(table: Rows) -> None:
    assert list(table) == list(RANKINGS)
    rows = list(table.values())
    assert [row["q"] for row in rows] == pytest.approx(false_discovery_control([row["p"] for row in rows]))
    assert {row["family"] for row in rows} == {len(RANKINGS)}
    assert [row["kind"] for row in rows] == ["mechanistic"] * 6 + ["baseline"] * 2


def test_one_state_of_the_generator_gives_one_table() -> None:
    runs = random_runs(9)
    one, two = (validation_table(runs, bootstraps=50, permutations=50, generator=seeded()) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert list(one.columns) == COLUMNS
    other = validation_table(runs, bootstraps=50, permutations=50, generator=seeded(1))
    assert not other["low"].equals(one["low"])


def test_gains_the_greatest_first() -> None:
    gains = {"copy": [0.1, 0.3], "mqar": [0.5, 0.5], "reverse": [0.0, 0.2]}
    table = gains_table(table_of({name: {"attention": [0.0, 0.0]} for name in gains}, gains=gains))
    assert list(table["candidate"]) == ["mqar", "copy", "reverse"]
    assert table["gain"].tolist() == pytest.approx([0.5, 0.2, 0.1])
    assert table["accuracy"].tolist() == pytest.approx([0.75, 0.45, 0.35])
    # .1, .3: standard error .1, t(.975, 1) = 12.7062.
    assert table[["gain_low", "gain_high"]].iloc[1].tolist() == pytest.approx([0.2 - 1.27062, 0.2 + 1.27062], abs=1e-5)
    one = gains_table(table_of(SCORES, gains=GAINS))
    assert one[["gain_low", "gain_high"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("runs", "settings", "text"),
    [
        (table_of({name: SCORES[name] for name in ("copy", "mqar")}, gains=GAINS), {},
         "2 candidates cannot tell a score that predicts from one that does not; validate with 3 or more, better 6"),
        (table_of(SCORES, gains={**GAINS, "mqar": [float("nan")]}), {}, "candidate 'mqar' has no gain; train it"),
        (table_of(SCORES, gains=GAINS), {"bootstraps": 1},
         "bootstraps = 1 and permutations = 10000; allowed are 2 and 1, or more"),
        (table_of(SCORES, gains=GAINS), {"permutations": 0},
         "bootstraps = 2000 and permutations = 0; allowed are 2 and 1, or more"),
        (table_of(SCORES, gains=GAINS).assign(attention=None), {},
         "candidate 'copy' has no attention; give every score of every run"),
    ],
)  # fmt: skip
def test_runs_that_cannot_be_compared(runs: pd.DataFrame, settings: dict[str, int], text: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        validation_table(runs, **settings, generator=seeded())
