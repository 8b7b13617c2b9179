"""What an auxiliary adds to the main task's accuracy at each length, over seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analyses.statistics.correction import benjamini_hochberg
from analyses.statistics.seeds import check_paired_seeds, sign_flip_p, t_interval
from tasks import InvalidValueError

COLUMNS = [
    "main", "contrast", "length", "first", "second", "gain", "low", "high", "p", "q", "family", "correction", "null",
    "permutations", "weights", "n", "seeds",
]  # fmt: skip

CONTRASTS = (("auxiliary", "alone"), ("auxiliary", "control"), ("control", "alone"))


def transfer_gains(
    accuracy: pd.DataFrame, *, contrasts: Sequence[tuple[str, str]] = CONTRASTS, level: float = 0.95
) -> pd.DataFrame:
    """The main task's accuracy in one condition less that in another, at each length, paired by seed.

    gain = mean over seeds of the difference, with its t interval; p is one-sided and exact, over all 2^S flips of the
    signs of S seeds' differences, so that it is never below 2^-S; q is Benjamini and Hochberg's over the lengths and
    contrasts of each kind of weights. A difference that is 0 in every seed has p = 1.

    Args:
        accuracy: A row per condition, seed, weights and length: main, condition, seed, weights, length, n, accuracy.
        contrasts: Pairs of conditions; those that the table lacks are left out.
        level: Of the intervals.

    Returns:
        A row per weights, contrast and length: main, contrast (as `auxiliary - alone`), length, first and second (mean
        accuracies), gain, low, high, p, q, family, correction, null, permutations (2^S), weights, n, seeds.

    Raises:
        InvalidValueError: Fewer than two seeds, several main tasks, a seed that a condition lacks or has twice, or none
            of the contrasts.
    """
    _check(accuracy)
    conditions = set(accuracy["condition"])
    rows = []
    for (weights, length), part in accuracy.groupby(["weights", "length"], sort=True):
        wide = part.pivot(index="seed", columns="condition", values="accuracy")
        for one, other in contrasts:
            if {one, other} <= conditions:
                difference = (wide[one] - wide[other]).to_numpy(dtype=float)
                low, high = t_interval(difference.tolist(), level=level)
                rows.append(
                    {
                        "main": part["main"].iloc[0], "contrast": f"{one} - {other}", "length": length,
                        "first": wide[one].mean(), "second": wide[other].mean(), "gain": difference.mean(),
                        "low": max(-1.0, low), "high": min(1.0, high), "p": sign_flip_p(difference),
                        "null": "sign flips", "permutations": 2 ** len(difference), "weights": weights,
                        "n": part["n"].iloc[0], "seeds": len(difference),
                    }
                )  # fmt: skip
    if not rows:
        asked = ", ".join(f"{one} - {other}" for one, other in contrasts)
        raise InvalidValueError(f"the table has the conditions {', '.join(sorted(conditions))}, and none of {asked}")
    return benjamini_hochberg(pd.DataFrame(rows), within=["weights"])[COLUMNS]


def _check(accuracy: pd.DataFrame) -> None:
    mains = accuracy["main"].unique()
    if len(mains) != 1:
        raise InvalidValueError(f"gains are those of one main task. Got {', '.join(map(str, mains)) or 'none'}")
    check_paired_seeds(accuracy["seed"].drop_duplicates().to_list())
    counts = accuracy.groupby(["weights", "length", "condition"])["seed"].agg(lambda seeds: tuple(sorted(seeds)))
    every = tuple(np.unique(accuracy["seed"]).tolist())
    for (_, length, condition), seeds in counts.items():  # pyright: ignore[reportGeneralTypeIssues]
        if seeds != every:
            raise InvalidValueError(
                f"condition {condition!r} has the seeds {' '.join(map(str, seeds))} at length {length}, and all "
                f"together have {' '.join(map(str, every))}; every condition needs each seed once"
            )
