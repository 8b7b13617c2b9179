"""Results on disk: read when they are there, computed when the question or the file has changed."""

from pathlib import Path

import pandas as pd
import pytest

from analyses import Head, HeadAblation, HeadOverlap
from analyses.store import result_digest, stored_table

TABLE = pd.DataFrame({"task": ["copy", "shift"], "effect": [0.1, 1 / 3], "layer": pd.array([0, pd.NA], dtype="Int64")})
KEY = {"weights": "abc", "n": 4, "ablation": HeadAblation()}


class Counted:
    """A computation that counts how often it runs."""

    def __init__(self, table: pd.DataFrame = TABLE) -> None:
        self.runs, self.table = 0, table

    def __call__(self) -> pd.DataFrame:
        self.runs += 1
        return self.table


def never() -> pd.DataFrame:
    raise AssertionError("computed again")


def test_read_equals_computed(tmp_path: Path) -> None:
    compute = Counted()
    first = stored_table(tmp_path / "results", "map", KEY, compute)
    again = stored_table(tmp_path / "results", "map", KEY, never)
    assert compute.runs == 1
    pd.testing.assert_frame_equal(first, TABLE, check_exact=True)
    pd.testing.assert_frame_equal(again, TABLE, check_exact=True)
    assert [path.name for path in (tmp_path / "results").iterdir()] == [
        f"map-{result_digest({'name': 'map', **KEY})}.parquet"
    ]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("map", {**KEY, "weights": "abd"}),
        ("map", {**KEY, "n": 5}),
        ("map", {**KEY, "ablation": HeadAblation(heads=(Head(0, 1),))}),
        ("map", {**KEY, "ablation": HeadOverlap()}),
        ("map", {**KEY, "more": None}),
        ("other", KEY),
    ],
)
def test_another_question_is_another_file(tmp_path: Path, name: str, key: dict[str, object]) -> None:
    stored_table(tmp_path, "map", KEY, Counted())
    compute = Counted(TABLE.assign(effect=0.0))
    table = stored_table(tmp_path, name, key, compute)
    assert compute.runs == 1
    assert table["effect"].tolist() == [0, 0]
    assert len(list(tmp_path.iterdir())) == 2
    pd.testing.assert_frame_equal(stored_table(tmp_path, "map", KEY, never), TABLE)


def test_order_of_the_keys_is_no_question(tmp_path: Path) -> None:
    stored_table(tmp_path, "map", KEY, Counted())
    stored_table(tmp_path, "map", dict(reversed(KEY.items())), never)


@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_damaged_file_is_computed_again(tmp_path: Path, damage: str) -> None:
    stored_table(tmp_path, "map", KEY, Counted())
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "noise": bytes(range(256))}[damage])
    compute = Counted()
    pd.testing.assert_frame_equal(stored_table(tmp_path, "map", KEY, compute), TABLE)
    assert compute.runs == 1
    assert path.read_bytes() == whole


def test_failed_computation_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="computed again"):
        stored_table(tmp_path, "map", KEY, never)
    assert list(tmp_path.iterdir()) == []
