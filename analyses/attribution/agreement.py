"""How well estimated scores agree with exact effects."""

from collections.abc import Sequence

import pandas as pd
from scipy import stats

from tasks import InvalidValueError


def agreement(estimated: pd.DataFrame, exact: pd.DataFrame, *, on: Sequence[str]) -> pd.DataFrame:
    """Correlations of estimated scores with exact effects, over the rows that both tables have.

    Pearson's correlation asks whether effects are proportional, Spearman's whether their order is the same. Where one
    of the columns is constant neither is defined, and both are 0. In [-1, 1].

    Args:
        estimated: A table with a column `score`, as `EdgeAttribution` and `AttributionPatching` make it.
        exact: A table with a column `effect`, as patching makes it.
        on: The columns by which rows belong together, such as sender and receiver; no two rows of a table may share
            them. Missing values belong together.

    Returns:
        One row: pearson, spearman, n (common rows).

    Raises:
        InvalidValueError: A missing column, rows that share the columns, or fewer than two common rows.
    """
    on = list(on)
    for name, table, value in (("estimated", estimated, "score"), ("exact", exact, "effect")):
        missing = [column for column in (*on, value) if column not in table.columns]
        if missing:
            raise InvalidValueError(
                f"the {name} table has no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}"
            )
        if table.duplicated(on).any():
            raise InvalidValueError(
                f"rows of the {name} table share {', '.join(on)}; name more columns, or select rows before"
            )
    common = estimated[[*on, "score"]].merge(exact[[*on, "effect"]], on=on)
    if len(common) < 2:
        raise InvalidValueError(
            f"the tables have {len(common)} rows in common by {', '.join(on)}; a correlation needs 2 or more"
        )
    constant = bool((common[["score", "effect"]].nunique() == 1).any())
    score, effect = common["score"].to_numpy(float), common["effect"].to_numpy(float)
    row = {
        "pearson": 0.0 if constant else float(stats.pearsonr(score, effect).statistic),
        "spearman": 0.0 if constant else float(stats.spearmanr(score, effect).statistic),
        "n": len(common),
    }
    return pd.DataFrame([row])
