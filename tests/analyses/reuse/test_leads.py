"""What rises first: rises and leads read off by eye, the sign test by hand, and delayed copies."""

import math

import numpy as np
import pandas as pd
import pytest

from analyses import leads
from analyses.reuse.leads import COLUMNS
from tests.analyses.reuse.hand_trajectories import trajectories


def rising(at: int, *, count: int = 10) -> list[float]:
    """0 up to a checkpoint, counted from 0, and 1 from it on."""
    return [float(place >= at) for place in range(count)]


def row(table: pd.DataFrame, seed: int | None = None) -> pd.Series:
    """The row of a seed, or the pooled one."""
    (found,) = np.flatnonzero(table["seed"].isna() if seed is None else (table["seed"] == seed).fillna(False))
    return table.iloc[found]


def test_leads_by_eye() -> None:
    # Steps 10, 20, ...: reuse rises at 30, 40, 50, accuracy at 60, 40, 40: leads 30, 0, -10.
    table = leads(
        trajectories(
            {
                ("cosine", "nll"): [rising(2), rising(3), rising(4)],
                "accuracy": [rising(5), rising(3), rising(3)],
            }
        )
    )
    assert list(table.columns) == COLUMNS
    assert table[["level", "reuse_step", "accuracy_step", "lead"]].to_numpy().tolist() == [
        ["seed", 30, 60, 30],
        ["seed", 40, 40, 0],
        ["seed", 50, 40, -10],
        ["pooled", 40, pytest.approx(140 / 3), pytest.approx(20 / 3)],
    ]
    pooled = row(table)
    # Mean 20/3; squares of 70/3, -20/3, -50/3 sum to 7800/9, / 2: deviation 20.81666; t(2) = 4.302653.
    half = 4.302653 * 20.81666 / 3**0.5
    assert pooled[["low", "high"]].tolist() == pytest.approx([20 / 3 - half, 20 / 3 + half], rel=1e-5)
    assert (pooled["p"], pooled["null"], pooled["seeds"]) == (1, "sign test", 3)  # one up, one down
    assert table[["seeds", "checkpoints", "n"]].to_numpy().tolist() == [[1, 10, 8]] * 3 + [[3, 10, 8]]
    assert table[["p", "q"]].isna().sum().tolist() == [3, 3], "no test of a single seed"
    assert table["null"].tolist()[:3] == [""] * 3


def test_a_rise_is_halfway_between_the_lowest_before_the_highest_and_the_highest() -> None:
    # Highest 8 at step 140, lowest before it 0 at step 20: halfway 4, first reached at step 120. The lower value behind
    # the highest does not count, nor does the 5 before the lowest.
    reuse = [5, 0, *[1] * 8, 2, 4, 6, 8, *[7] * 6, -1, *[7] * 19]
    table = leads(trajectories({"offset_cosine": [reuse], "accuracy": [rising(14, count=40)]}))
    assert row(table, 0)[["reuse_step", "accuracy_step", "lead"]].tolist() == [120, 150, 30]


def test_what_is_within_noise_does_not_rise() -> None:
    # One step up by 1 among nine: deviation of the changes sqrt(1/9 - 1/81) = .314, of a checkpoint's noise .222, three
    # times that .667. Within the first two checkpoints, or the last two, it counts only half: .5.
    found = [
        row(leads(trajectories({"offset_cosine": [rising(at)], "accuracy": [rising(5)]})), 0)["reuse_step"]
        for at in (1, 2, 8, 9)
    ]
    assert [math.isnan(step) for step in found] == [True, False, False, True]
    noise = np.random.default_rng(0).normal(size=(3, 40))
    table = leads(trajectories({"offset_cosine": noise, "accuracy": [rising(20, count=40)] * 3}))
    assert table["reuse_step"].isna().all()
    assert table["accuracy_step"].tolist()[:3] == [210] * 3
    table = leads(
        trajectories({"offset_cosine": noise + np.linspace(0, 12, 40), "accuracy": [rising(20, count=40)] * 3})
    )
    assert table["reuse_step"].notna().all()


def test_measures_that_fall_with_sharing_are_turned_round() -> None:
    falling = [1 - value for value in rising(2)]
    for quantity in ("mean_absolute_difference", "attention_difference"):
        table = leads(trajectories({quantity: [falling], "accuracy": [rising(5)]}))
        assert row(table, 0)["lead"] == 30
    table = leads(trajectories({"offset_cosine": [falling], "accuracy": [rising(5)]}))
    assert math.isnan(row(table, 0)["lead"]), "it only falls"


def test_a_seed_that_never_rises_is_left_out() -> None:
    table = leads(
        trajectories(
            {
                "offset_cosine": [rising(2), rising(2), rising(2), [1.0] * 10],
                "accuracy": [rising(4), rising(6), [0.0] * 10, rising(4)],
            }
        )
    )
    assert table["lead"].tolist()[:2] == [20, 40]
    assert table["lead"].isna().tolist() == [False, False, True, True, False]
    assert table["seeds"].tolist() == [1, 1, 0, 0, 2]
    assert row(table, 2)["reuse_step"] == 30
    pooled = row(table)
    assert pooled[["reuse_step", "accuracy_step", "lead", "p"]].tolist() == [30, 60, 30, 0.5]


def test_no_seed_that_rises() -> None:
    table = leads(trajectories({"offset_cosine": [[1.0] * 10] * 2, "accuracy": [rising(4)] * 2}))
    pooled = row(table)
    assert pooled[["reuse_step", "accuracy_step", "lead", "low", "high"]].isna().all()
    assert (pooled["p"], pooled["seeds"]) == (1, 0)


@pytest.mark.parametrize(
    ("accuracy", "p"),
    [
        ([5, 6, 7, 8, 8], 2 / 32),  # all five leads above 0
        ([2, 2, 3, 3, 2], 2 / 32),
        ([5, 6, 7, 8, 3], 2 * (1 + 5) / 32),  # four above, one below: none or one of five, twice
        ([5, 6, 7, 4, 4], 2 / 8),  # those of 0 left out: all three above
        ([4, 4, 4, 4, 4], 1),  # none is left
    ],
)
def test_sign_test_by_hand(accuracy: list[int], p: float) -> None:
    table = leads(trajectories({"offset_cosine": [rising(4)] * 5, "accuracy": [rising(at) for at in accuracy]}))
    assert row(table)["p"] == pytest.approx(p)


def bump(at: int, *, count: int = 24) -> list[float]:
    """A bump with both ends at 0, so that the line through them is 0 and a delayed bump stays a delayed copy."""
    return [max(0.0, 4.0 - abs(place - at)) for place in range(count)]


@pytest.mark.parametrize("delay", [-5, -1, 0, 1, 5])
def test_lag_of_a_delayed_copy_is_the_delay(delay: int) -> None:
    later = bump(11 + delay)
    table = leads(trajectories({"offset_cosine": [bump(11)] * 2, "accuracy": [later, later]}))
    assert table["lag"].tolist() == [delay] * 3
    table = leads(trajectories({"mean_absolute_difference": [[-v for v in bump(11)]], "accuracy": [later]}))
    assert table["lag"].tolist() == [delay]


def test_lags_go_to_a_quarter_of_the_checkpoints_and_are_averaged() -> None:
    # 23 points without the first: at most 5 either way.
    table = leads(trajectories({"offset_cosine": [bump(8), bump(8)], "accuracy": [bump(10), bump(17)]}))
    assert table["lag"].tolist()[0] == 2
    assert abs(table["lag"].tolist()[1]) <= 5
    assert row(table)["lag"] == np.mean(table["lag"].tolist()[:2])


def test_series_without_anything_beyond_their_trend_have_no_lag() -> None:
    steps = [float(step) for step in range(12)]
    assert leads(trajectories({"offset_cosine": [steps], "accuracy": [steps]}))["lag"].tolist() == [0]


def test_a_row_per_pair_and_measure() -> None:
    first = trajectories({"offset_cosine": [rising(2)], ("cosine", "nll"): [rising(3)], "accuracy": [rising(4)]})
    second = trajectories({"offset_cosine": [rising(2)], "accuracy": [rising(6)]}, auxiliary="reverse")
    table = leads(pd.concat([first, second]))
    found = table.set_index(["auxiliary", "quantity"])["lead"].to_dict()
    assert found == {("copy", "cosine"): 10, ("copy", "offset_cosine"): 20, ("reverse", "offset_cosine"): 40}
    assert set(table["main"]) == {"shift"}


def test_few_checkpoints_will_do() -> None:
    reuse, accuracy = [0, 1, 1, 1, 1], [0, 0, 0, 1, 1]
    table = leads(trajectories({"offset_cosine": [reuse], "accuracy": [accuracy]}, steps=[5, 20, 30, 70, 90]))
    assert table[["reuse_step", "accuracy_step", "lead"]].to_numpy().tolist() == [[20, 70, 50]]


def test_q_is_over_the_pooled_rows() -> None:
    series = {"offset_cosine": [rising(2)] * 5, ("cosine", "nll"): [rising(4)] * 5, "accuracy": [rising(4)] * 5}
    table = leads(trajectories(series))
    pooled = table[table["level"] == "pooled"].set_index("quantity")
    assert pooled["p"].to_dict() == {"offset_cosine": 2 / 32, "cosine": 1}
    assert pooled["q"].to_dict() == {"offset_cosine": 4 / 32, "cosine": 1}
    assert set(pooled["family"]) == {2}
    seeds = table[table["level"] == "seed"]
    assert (set(seeds["family"]), set(seeds["correction"])) == ({0}, {""})
