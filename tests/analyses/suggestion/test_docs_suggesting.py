"""The page on suggesting names every column and score, in their order."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from analyses.suggestion import ranking, validation_table
from analyses.suggestion.ranking import RANK_BY
from analyses.suggestion.scores import BASELINES, RANKINGS

TEXT = (Path(__file__).parents[3] / "docs" / "analyses" / "suggesting.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", [ranking.COLUMNS, validation_table.COLUMNS], ids=["ranking", "validation"])
def test_every_column_is_explained_in_order(columns: Sequence[str]) -> None:
    tables = [after.partition("\n\n")[0] for after in TEXT.split("| column | meaning |")[1:]]
    assert columns in [re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) for table in tables]


def test_every_score_is_explained_in_order() -> None:
    (after,) = TEXT.split("| score | kind | what it is |")[1:]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", after.partition("\n\n")[0], re.MULTILINE)
    assert rows == [(score, "baseline" if score in BASELINES else "mechanistic") for score in RANKINGS]


def test_the_default_score_is_named() -> None:
    assert f"**The default ranking goes by `{RANK_BY}`**" in TEXT
