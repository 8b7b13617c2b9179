"""Agreement of estimated with exact scores."""

import pandas as pd
import pytest

from analyses.attribution import agreement
from tasks import InvalidValueError


def tables(scores: list[float], effects: list[float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = [f"0.{place}" for place in range(len(scores))]
    return (
        pd.DataFrame({"sender": names, "receiver": "logits", "score": scores, "n": 5}),
        pd.DataFrame({"sender": names[: len(effects)], "receiver": "logits", "effect": effects}).iloc[::-1],
    )


@pytest.mark.parametrize(
    ("scores", "effects", "pearson", "spearman"),
    [
        ([1, 2, 3], [2, 4, 6], 1, 1),
        ([1, 2, 3], [6, 4, 2], -1, -1),
        ([1, 2, 3], [1, 3, 2], 0.5, 0.5),  # covariance 1/3, variances 2/3
        ([0, 1, 5], [0, 1, 2], 5 / 28**0.5, 1),  # covariance 5 / 3, variances 14 / 3 and 2 / 3
        ([1, 1, 2], [3, 3, 4], 1, 1),  # ties have their mean rank
        ([1, 2, 3], [0, 0, 0], 0, 0),
        ([7, 7, 7], [1, 2, 3], 0, 0),
    ],
    ids=["proportional", "reversed", "two exchanged", "order alone", "ties", "constant effect", "constant score"],
)
def test_hand_worked_correlations(scores: list[float], effects: list[float], pearson: float, spearman: float) -> None:
    table = agreement(*tables(scores, effects), on=["sender", "receiver"])
    assert list(table.columns) == ["pearson", "spearman", "n"]
    assert table.to_numpy().tolist() == [pytest.approx([pearson, spearman, 3])]


def test_only_common_rows_count() -> None:
    table = agreement(*tables([1, 2, 3, -50], [2, 4, 6]), on=["sender", "receiver"])
    assert table.to_numpy().tolist() == [pytest.approx([1, 1, 3])]


def test_missing_heads_belong_together() -> None:
    one = pd.DataFrame({"layer": [0, 1], "head": pd.array([pd.NA, pd.NA], dtype="Int64"), "score": [1.0, 2.0]})
    other = one.rename(columns={"score": "effect"})
    assert agreement(one, other, on=["layer", "head"])["n"].tolist() == [2]


@pytest.mark.parametrize(
    ("scores", "effects", "on", "text"),
    [
        ([1, 2], [1, 2], ["sender", "layer"],
         "the estimated table has no column 'layer'; it has sender, receiver, score, n"),
        ([1, 2], [1, 2], ["sender", "n"], "the exact table has no column 'n'; it has sender, receiver, effect"),
        ([1, 2], [1, 2], ["receiver"],
         "rows of the estimated table share receiver; name more columns, or select rows before"),
        ([1, 2], [1], ["sender", "receiver"],
         "the tables have 1 rows in common by sender, receiver; a correlation needs 2 or more"),
    ],
    ids=["no column", "no column of the exact", "not unique", "too few"],
)  # fmt: skip
def test_refused(scores: list[float], effects: list[float], on: list[str], text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        agreement(*tables(scores, effects), on=on)
    assert str(caught.value) == text
