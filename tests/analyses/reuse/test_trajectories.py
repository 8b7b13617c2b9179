"""Tables over training as series: what belongs together, and which tables cannot be read or pooled."""

from collections.abc import Callable

import pandas as pd
import pytest

from analyses import association, leads
from analyses.reuse.trajectories import check_trajectories, reuse_trajectories
from tasks import InvalidValueError
from tests.analyses.models import seeded
from tests.analyses.reuse.hand_trajectories import trajectories

ROWS = range(8)
TABLE = trajectories(
    {
        ("cosine", "nll"): [[step + seed / 2 for step in ROWS] for seed in range(2)],
        "gap": [[8 - step for step in ROWS] for _ in range(2)],
    }
)


def test_each_measure_of_reuse_stands_beside_the_transfer_of_its_pair() -> None:
    other = trajectories({"offset_cosine": [[0.0] * 8] * 2, "gap": [[0.5] * 8] * 2}, auxiliary="reverse")
    mixed = pd.concat([TABLE, other]).sample(frac=1, random_state=0)  # in any order
    found = {(one.about["auxiliary"], one.about["quantity"]): (one, all_) for one, all_ in reuse_trajectories(mixed)}
    assert set(found) == {("copy", "cosine"), ("reverse", "offset_cosine")}
    cosine, transfer = found["copy", "cosine"]
    assert cosine.about == {"main": "shift", "auxiliary": "copy", "quantity": "cosine", "metric": "nll"}
    assert (cosine.alike, cosine.seeds, cosine.n) == (1, [0, 1], 8)
    assert cosine.steps.tolist() == [10, 20, 30, 40, 50, 60, 70, 80]
    assert cosine.values.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7], [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]]
    assert set(transfer) == {"gap", "accuracy", "nll"}
    assert transfer["gap"].values[1].tolist() == [8, 7, 6, 5, 4, 3, 2, 1]
    assert (transfer["gap"].alike, transfer["accuracy"].alike) == (-1, 1)
    assert found["reverse", "offset_cosine"][1]["gap"].values.tolist() == [[0.5] * 8] * 2


def changed(column: str, value: int | str, *, rows: Callable[[pd.DataFrame], pd.Series]) -> pd.DataFrame:
    """The table with another value in some rows."""
    table = TABLE.astype({column: object})
    table.loc[rows(table), column] = value
    return table


def of_seed_1(table: pd.DataFrame) -> pd.Series:
    return table["seed"] == 1


CASES = {
    "a column": (
        TABLE.drop(columns=["alike", "n"]), "the table must be one that ReuseOverTraining gives; it lacks alike, n"
    ),
    "rows": (TABLE[:0], "the table must be one that ReuseOverTraining gives; it is empty"),
    "a run twice": (
        pd.concat([TABLE, TABLE[of_seed_1(TABLE)]]),
        "the runs of 'shift' with 'copy' have seed 1 twice; choose runs that differ in their seed only",
    ),
    "other checkpoints": (
        TABLE[~(of_seed_1(TABLE) & (TABLE["step"] > 60))],
        ("the runs of 'shift' with 'copy' have other checkpoints [(]8 of seed 0, 6 of seed 1[)]; choose runs of one "
         "configuration"),
    ),
    "checkpoints elsewhere": (
        changed("step", 85, rows=lambda table: of_seed_1(table) & (table["step"] == 80)),
        "the runs of 'shift' with 'copy' have other checkpoints [(]8 of seed 0, 8 of seed 1[)]; choose .*",
    ),
    "length": (
        changed("length", 5, rows=of_seed_1),
        "the runs of 'shift' with 'copy' were measured at several values of length; measure them alike",
    ),
    "lengths": (changed("lengths", "1 2", rows=of_seed_1), "the runs .* at several values of lengths; measure .*"),
    "n": (changed("n", 9, rows=of_seed_1), "the runs .* at several values of n; measure them alike"),
    "weights": (changed("weights", "raw", rows=of_seed_1), "the runs .* at several values of weights; measure .*"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "text"), CASES.values(), ids=CASES)
def test_refused(table: pd.DataFrame, text: str) -> None:
    for compute in (
        check_trajectories,
        lambda one: list(reuse_trajectories(one)),
        lambda one: association(one, draws=9, generator=seeded()),
        leads,
    ):
        with pytest.raises(InvalidValueError, match=f"^{text}$"):
            compute(table)


def test_quantities_may_have_lengths_and_examples_of_their_own() -> None:
    table = TABLE.copy()
    table.loc[table["quantity"] == "gap", ["length", "n"]] = [6, 99]
    check_trajectories(table)
