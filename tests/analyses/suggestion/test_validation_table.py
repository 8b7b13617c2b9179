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
    assert row["spearman"] == row["spearman_same_seed"] == row["spearman_of_means"] == pytest.approx(spearman)
    assert row["p"] == pytest.approx(p)
    assert (row["permutations"], row["smallest_p"], row["null"]) == (6, pytest.approx(1 / 6), "all orders")


def test_with_one_seed_score_and_gain_are_of_one_run(table: Rows) -> None:
    row = table["map_cosine"]
    assert (row["evidence"], row["seeds"]) == ("same seed", 1)
    for name in ("regret_low", "regret_high", "oracle_regret", "oracle_spearman"):
        assert pd.isna(row[name]), "a single seed says nothing of others"


def test_intervals_need_six_candidates() -> None:
    for count in (5, 6):
        rows = compared(random_runs(count), bootstraps=50)
        assert [bool(pd.isna(row[end])) for row in rows.values() for end in ("low", "high")] == [count < 6] * 16


def test_regret_is_what_the_choice_costs(table: Rows) -> None:
    columns = ["choice", "choice_gain", "best", "best_gain", "regret", "random_regret"]
    assert values(table["map_cosine"], *columns) == ["copy", 0.6, "copy", 0.6, 0.0, pytest.approx(0.6 - 0.3)]
    assert values(table["gradient"], *columns[:2]) == ["mqar", 0.1]
    assert table["gradient"]["regret"] == pytest.approx(0.5)
    # copy and mqar tie: either could be chosen.
    assert values(table["attention"], "choice", "choice_gain") == ["copy, mqar", pytest.approx(0.35)]
    assert table["attention"]["regret"] == pytest.approx(0.25)
    assert table["prompts"]["regret"] == pytest.approx(0.3), "a score that tells nothing chooses at random"


# Two seeds.
#          scores      gains       left out: seed 0 (scores of 1)   seed 1 (scores of 0)
# copy     .9   .1     .1   .7     ranks 1 3 2 and 1 3 2: 1         3 2 1 and 3 2 1: 1
# mqar     .3   .3     .3   .3     first is mqar: .3 of .3          first is copy: .7 of .7
# reverse  .0   .2     .2   .0
# Within a seed: 3 2 1 and 1 3 2, 1 3 2 and 3 2 1: -.5 twice. Means: scores .5 .3 .1, gains .4 .3 .1: 1.
# The gains of the other seed: -.5 twice; in seed 0 the choice is copy (.1 of .3), in seed 1 mqar (.3 of .7).
TWO_SCORES = {
    "copy": {"map_cosine": [0.9, 0.1], "attention": [0.1, 0.9]},
    "mqar": {"map_cosine": [0.3, 0.3], "attention": [0.3, 0.3]},
    "reverse": {"map_cosine": [0.0, 0.2], "attention": [0.2, 0.0]},
}
TWO_GAINS = {"copy": [0.1, 0.7], "mqar": [0.3, 0.3], "reverse": [0.2, 0.0]}


def test_the_gains_of_a_seed_are_compared_with_the_scores_of_the_others() -> None:
    rows = compared(table_of(TWO_SCORES, gains=TWO_GAINS))
    found = rows["map_cosine"]
    assert (found["evidence"], found["seeds"], found["candidates"]) == ("other seeds", 2, 3)
    assert values(found, "spearman", "spearman_same_seed", "spearman_of_means") == pytest.approx([1.0, -0.5, 1.0])
    assert found["p"] == pytest.approx(1 / 6)
    assert values(found, "choice", "best") == ["copy", "copy"], "by the means over all seeds"
    names = ("choice_gain", "best_gain", "regret", "oracle_spearman", "oracle_regret", "random_regret")
    assert values(found, *names) == pytest.approx([0.5, 0.5, 0.0, -0.5, 0.3, 0.5 - 0.8 / 3])
    assert pd.isna(found["regret_low"]), "two seeds are too few"
    # attention has its own run's order: within a seed it foretells the gain perfectly, and from one to the other it
    # does as the gains do.
    shared = rows["attention"]
    assert values(shared, "spearman", "spearman_same_seed", "regret") == pytest.approx([-0.5, 1.0, 0.3])
    assert shared["p"] > 0.5


def test_the_intervals_of_regret_with_three_seeds() -> None:
    runs = random_runs(6, seeds=3)
    rows = compared(runs, bootstraps=200)
    for row in rows.values():
        assert 0 <= row["regret_low"] <= row["regret"] <= row["regret_high"]
    gains = runs.pivot(index="seed", columns="candidate", values="gain").to_numpy()
    choices = [np.delete(gains, left_out, 0).mean(axis=0).argmax() for left_out in range(3)]
    costs = [gain.max() - gain[choice] for gain, choice in zip(gains, choices, strict=True)]
    assert [row["oracle_regret"] for row in rows.values()] == pytest.approx([np.mean(costs)] * len(RANKINGS))


def random_runs(candidates: int, *, seeds: int = 2) -> pd.DataFrame:
    draws = np.random.default_rng(3)
    names = [f"task{place}" for place in range(candidates)]
    worth = {name: draws.normal() for name in names}
    gains = {name: (worth[name] + draws.normal(size=seeds)).tolist() for name in names}
    scores = {
        name: {
            "map_cosine": (worth[name] + draws.normal(size=seeds)).tolist(),
            "early_accuracy": draws.integers(0, 3, size=seeds).astype(float).tolist(),
        }
        for name in names
    }
    return table_of(scores, gains=gains)


def left_out(runs: pd.DataFrame, score: str) -> list[tuple[list[float], list[float]]]:
    """For each seed the score's means over the others, and its gains."""
    pairs = []
    for seed, own in runs.groupby("seed"):
        others = runs[runs["seed"] != seed].groupby("candidate")[score].mean()
        pairs.append((others.loc[own["candidate"]].tolist(), own["gain"].tolist()))
    return pairs


@pytest.mark.parametrize("score", ["map_cosine", "early_accuracy"])
def test_exact_p_is_scipys_over_all_orders(score: str) -> None:
    runs = random_runs(6)
    pairs = left_out(runs, score)
    null = [
        np.mean([spearmanr(told, [gains[place] for place in order]).statistic for told, gains in pairs])
        for order in itertools.permutations(range(6))
    ]
    row = compared(runs)[score]
    assert row["spearman"] == pytest.approx(null[0])
    assert row["p"] == pytest.approx(np.mean(np.array(null) >= null[0] - 1e-9))
    assert row["permutations"] == 720
    same = [spearmanr(part[score], part["gain"]).statistic for _, part in runs.groupby("seed")]
    assert row["spearman_same_seed"] == pytest.approx(np.mean(same))
    means = runs.groupby("candidate")[[score, "gain"]].mean()
    assert row["spearman_of_means"] == pytest.approx(spearmanr(means[score], means["gain"]).statistic)


def test_with_many_candidates_orders_are_drawn() -> None:
    runs = random_runs(9, seeds=1)
    row = compared(runs, permutations=999)["map_cosine"]
    assert (row["null"], row["permutations"], row["smallest_p"]) == ("random orders", 999, 0.001)
    assert row["p"] * 1000 == pytest.approx(round(row["p"] * 1000))
    p = spearmanr(runs["map_cosine"], runs["gain"], alternative="greater").pvalue
    assert row["p"] == pytest.approx(p, abs=0.03)  # three standard errors of 999 orders, and scipy's is no exact one
    assert compared(runs)["map_cosine"]["permutations"] == 10_000


def test_the_bootstrap_draws_candidates() -> None:
    runs = random_runs(12)
    pairs = [np.array(pair) for pair in left_out(runs, "map_cosine")]
    draws = np.random.default_rng(0).integers(12, size=(2000, 12))
    samples = [np.mean([spearmanr(*pair[:, rows]).statistic for pair in pairs]) for rows in draws]
    row = compared(runs, bootstraps=4000)["map_cosine"]
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(samples, [0.025, 0.975]), abs=0.06)
    assert row["bootstraps"] == 4000


def test_q_is_over_all_scores(table: Rows) -> None:
    assert list(table) == list(RANKINGS)
    rows = list(table.values())
    assert [row["q"] for row in rows] == pytest.approx(false_discovery_control([row["p"] for row in rows]))
    assert {(row["family"], row["correction"]) for row in rows} == {(len(RANKINGS), "Benjamini-Hochberg")}
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
