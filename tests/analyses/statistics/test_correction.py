"""The false discovery rate: by hand, within families, and what is refused."""

import pandas as pd
import pytest

from analyses.statistics.correction import benjamini_hochberg
from tasks import InvalidValueError


def test_by_hand() -> None:
    # Sorted .01 .02 .03 .5, times 4/1 4/2 4/3 4/4: .04 .04 .04 .5, already rising.
    table = benjamini_hochberg(pd.DataFrame({"p": [0.5, 0.01, 0.03, 0.02]}, index=[7, 7, 8, 9]))
    assert table["q"].tolist() == pytest.approx([0.5, 0.04, 0.04, 0.04])
    assert table["family"].tolist() == [4] * 4
    assert set(table["correction"]) == {"Benjamini-Hochberg"}


def test_families() -> None:
    table = pd.DataFrame({"p": [0.01, 0.01, 0.04], "null": ["a", "b", "a"]})
    found = benjamini_hochberg(table, within=["null"])
    assert found["q"].tolist() == pytest.approx([0.02, 0.01, 0.04])
    assert found["family"].tolist() == [2, 1, 2]
    assert benjamini_hochberg(found)["family"].tolist() == [3] * 3  # another family, in the place of the first


def test_columns_by_other_names() -> None:
    table = pd.DataFrame({"p": [0.5, 0.5, 0.5], "own": [0.01, 0.02, 0.3]})
    found = benjamini_hochberg(table, p="own", q="own_q", family="own_family")
    assert list(found) == ["p", "own", "own_q", "own_family", "correction"]
    assert found["own_q"].tolist() == pytest.approx([0.03, 0.03, 0.3])  # .01 * 3/1 and .02 * 3/2, .3 * 3/3
    assert found["own_family"].tolist() == [3] * 3


def test_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        benjamini_hochberg(pd.DataFrame({"p": [0.1]}), within=["task"])
    assert str(caught.value) == "the table has no column 'task'; it has p"
    with pytest.raises(InvalidValueError) as caught:
        benjamini_hochberg(pd.DataFrame({"p": [0.1, float("nan")]}))
    assert str(caught.value) == "every p must be a number in [0, 1]; leave out the rows that have none"
    with pytest.raises(InvalidValueError) as caught:
        benjamini_hochberg(pd.DataFrame({"p": [0.1], "p_both": [2.0]}), p="p_both")
    assert str(caught.value) == "every p_both must be a number in [0, 1]; leave out the rows that have none"
