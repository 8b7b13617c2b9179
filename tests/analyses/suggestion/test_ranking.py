"""Candidates ranked by scores: means, intervals, ties and the combined score, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from analyses import suggestion_table
from analyses.suggestion.ranking import COLUMNS, with_combined
from analyses.suggestion.scores import MECHANISTIC
from tasks import InvalidValueError, UnknownNameError
from tests.analyses.suggestion.numbers import table_of

# Means of map_cosine: copy .5, mqar .4, reverse .5 (in another order: equal but for rounding); of gradient -.1, .3, 0.
SCORES = {
    "copy": {"map_cosine": [0.1, 0.2, 1.2], "gradient": [-0.1, -0.1, -0.1]},
    "mqar": {"map_cosine": [0.4, 0.4, 0.4], "gradient": [0.3, 0.2, 0.4]},
    "reverse": {"map_cosine": [1.2, 0.1, 0.2], "gradient": [0.0, 0.1, -0.1]},
}


def by_candidate(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("candidate")


def test_a_score_is_its_mean_over_seeds_with_a_t_interval() -> None:
    table = by_candidate(suggestion_table(table_of(SCORES)))
    assert table["map_cosine"].to_dict() == pytest.approx({"copy": 0.5, "reverse": 0.5, "mqar": 0.4})
    # gradient of mqar: .3, .2, .4: standard deviation .1, error .1 / sqrt 3 = .057735, t(.975, 2) = 4.302653.
    row = table.loc["mqar"]
    assert (row["gradient_low"], row["gradient_high"]) == pytest.approx((0.3 - 0.248414, 0.3 + 0.248414), abs=1e-6)
    assert (row["map_cosine_low"], row["map_cosine_high"]) == pytest.approx((0.4, 0.4))


def test_rank_one_is_the_greatest_and_ties_share_a_rank() -> None:
    assert set(suggestion_table(table_of(SCORES))["rank_by"]) == {"early_accuracy"}
    table = suggestion_table(table_of(SCORES), rank_by="map_cosine")
    assert list(table["candidate"]) == ["copy", "reverse", "mqar"]
    assert list(table["rank"]) == list(table["map_cosine_rank"]) == [1, 1, 3]
    assert set(table["rank_by"]) == {"map_cosine"}
    assert list(table["prompts_rank"]) == [1, 1, 1]
    table = suggestion_table(table_of(SCORES), rank_by="gradient")
    assert list(table["candidate"]) == ["mqar", "reverse", "copy"]
    assert list(table["rank"]) == list(table["gradient_rank"]) == [1, 2, 3]
    assert list(by_candidate(table)["map_cosine_rank"]) == [3, 1, 1]


def test_combined_is_the_mean_place_among_the_candidates_of_a_seed() -> None:
    # Places from 0 (smallest) to 1 (greatest), three candidates, five mechanistic scores, three of them ties at .5.
    #            map_cosine    gradient
    # seed 0     0, .5, 1      0, 1, .5
    # seed 1     .5, 1, 0      0, 1, .5
    # seed 2     1, .5, 0      .25, 1, .25     (-.1 twice: they share the places 0 and .5)
    runs = with_combined(table_of(SCORES))
    wanted = {
        "copy": [(0 + 0 + 1.5) / 5, (0.5 + 0 + 1.5) / 5, (1 + 0.25 + 1.5) / 5],
        "mqar": [(0.5 + 1 + 1.5) / 5, (1 + 1 + 1.5) / 5, (0.5 + 1 + 1.5) / 5],
        "reverse": [(1 + 0.5 + 1.5) / 5, (0 + 0.5 + 1.5) / 5, (0 + 0.25 + 1.5) / 5],
    }
    for candidate, part in runs.groupby("candidate"):
        assert part["combined"].tolist() == pytest.approx(wanted[str(candidate)])
    table = by_candidate(suggestion_table(table_of(SCORES), rank_by="combined"))
    assert table["combined"].to_dict() == pytest.approx({name: np.mean(values) for name, values in wanted.items()})
    assert table.index[0] == "mqar"


def test_combined_takes_no_notice_of_baselines() -> None:
    changed = {
        name: {**scores, "early_accuracy": [seed, seed, seed]} for seed, (name, scores) in enumerate(SCORES.items())
    }
    assert with_combined(table_of(changed))["combined"].equals(with_combined(table_of(SCORES))["combined"])


def test_one_seed_has_no_interval() -> None:
    one = {name: {score: values[:1] for score, values in scores.items()} for name, scores in SCORES.items()}
    table = suggestion_table(table_of(one))
    assert list(table.columns) == COLUMNS
    assert table[[f"{score}_{end}" for score in MECHANISTIC for end in ("low", "high")]].isna().all(axis=None)
    assert not table[list(MECHANISTIC)].isna().any(axis=None)
    assert (set(table["seeds"]), set(table["candidates"]), set(table["steps"])) == ({1}, {3}, {6})


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        (table_of(SCORES).iloc[:3], "^1 candidate cannot be ranked; compare 2 or more$"),
        (table_of(SCORES).iloc[1:],
         "^candidate 'copy' has the seeds 1, 2, and all together have 0, 1, 2; every candidate needs each seed once$"),
        (pd.concat([table_of(SCORES)] * 2), "^candidate 'copy' has the seeds 0, 0, 1, 1, 2, 2, and all together have"),
        (table_of(SCORES).assign(gradient=float("nan")),
         "^candidate 'copy' has no gradient; give every score of every run$"),
    ],
)  # fmt: skip
def test_runs_that_cannot_be_ranked(runs: pd.DataFrame, text: str) -> None:
    with pytest.raises(InvalidValueError, match=text):
        suggestion_table(runs)


@pytest.mark.usefixtures("unchecked")
def test_a_score_that_does_not_exist() -> None:
    text = (
        "^unknown score 'map_cosin'; did you mean 'map_cosine'\\? the scores are combined, map_cosine, map_spearman, "
    )
    with pytest.raises(UnknownNameError, match=text):
        suggestion_table(table_of(SCORES), rank_by="map_cosin")  # pyright: ignore[reportArgumentType]
