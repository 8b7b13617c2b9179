"""Many comparisons: the false discovery rate."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from tasks import InvalidValueError

BENJAMINI_HOCHBERG = "Benjamini-Hochberg"
"""How q is made from p."""


def benjamini_hochberg(
    table: pd.DataFrame, *, within: Sequence[str] = (), p: str = "p", q: str = "q", family: str = "family"
) -> pd.DataFrame:
    """The table with q for its p: calling all rows with q < .05 makes at most 5 % of those calls false, on average.

    Args:
        table: A row per test.
        within: Columns; rows that have the same values in them are one family of tests. None: all rows are one.
        p: The column that holds p.
        q: What the column of q is called.
        family: What that of the tests in the family is called.

    Returns:
        The same rows in their order, with q, the number of tests in the family and `correction`, in the place of
        columns of that name if they are there.

    Raises:
        InvalidValueError: The table has no p or lacks one of the columns, or a p is not in [0, 1].
    """
    missing = [name for name in (p, *within) if name not in table.columns]
    if missing:
        raise InvalidValueError(f"the table has no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}")
    if not table[p].between(0, 1).all():
        raise InvalidValueError(f"every {p} must be a number in [0, 1]; leave out the rows that have none")
    places = [np.arange(len(table))]
    if within:
        places = list(table.reset_index(drop=True).groupby(list(within), dropna=False).indices.values())
    values, tests = np.empty(len(table)), np.empty(len(table), dtype=np.int64)
    for rows in places:
        values[rows] = false_discovery_control(table[p].to_numpy(dtype=float)[rows]) if len(rows) else 1.0
        tests[rows] = len(rows)
    return table.assign(**{q: values, family: tests, "correction": BENJAMINI_HOCHBERG})
