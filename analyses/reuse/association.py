"""Whether reuse of heads follows transfer over training."""

from typing import Any

import pandas as pd
from torch import Generator

from analyses.reuse.trajectories import Trajectory, reuse_trajectories
from analyses.statistics.correction import benjamini_hochberg
from analyses.statistics.seeds import t_interval
from analyses.statistics.shifts import circular_shifts, closed

COLUMNS = [
    "main", "auxiliary", "quantity", "metric", "outcome", "level", "spearman", "low", "high", "expected", "detrended",
    "detrended_low", "detrended_high", "p", "q", "family", "correction", "null", "shifts", "raw_p", "checkpoints", "n",
    "seeds", "seed",
]  # fmt: skip

NULL = "circular shifts of loops"


def association(trajectories: pd.DataFrame, *, draws: int = 10_000, generator: Generator) -> pd.DataFrame:
    """Spearman's correlation over checkpoints of each measure of reuse and each of transfer, per seed and pooled.

    Both are autocorrelated, and most of what training changes grows or falls throughout, so neither a permutation of
    checkpoints nor a circular shift of the raw series is a fair null. p is that of the series without their straight
    line from start to end (`detrended`), as loops, against circular shifts (`analyses.statistics.shifts.closed`): do
    they go together beyond having a trend each? For comparison, raw_p is from shifts of the raw series; it calls two
    series that both grow related, whatever they are.

    Args:
        trajectories: What `ReuseOverTraining` gives for one run, or for several that differ in their seed.
        draws: Random shifts for the pooled p.
        generator: Draws them.

    Returns:
        A row per pair of tasks, measure of reuse (`quantity`, `metric`), outcome (gap, accuracy, nll) and seed, and a
        pooled one (`level`) if there are two seeds or more: spearman (pooled: mean over seeds), low, high (pooled: 95 %
        t interval over seeds, cut off at -1 and 1; missing for one), expected (the correlation's sign, if reuse goes
        with transfer), detrended, detrended_low, detrended_high, p (two-sided), q, family (p-values of that level for
        this outcome), correction, null, shifts (how many p is from), raw_p, checkpoints, n (examples per map), seeds,
        seed (missing where pooled).

    Raises:
        InvalidValueError: Fewer than 8 checkpoints, runs that cannot be pooled, a table of another kind.
    """
    rows: list[dict[str, Any]] = []
    for reuse, transfer in reuse_trajectories(trajectories):
        for outcome, other in transfer.items():
            found = _rows(reuse, other, draws=draws, generator=generator)
            rows += [{**reuse.about, "outcome": outcome, **row} for row in found]
    table = benjamini_hochberg(pd.DataFrame(rows, columns=[*COLUMNS]), within=["level", "outcome"])
    return table[COLUMNS].astype({"seed": "Int64"})


def _rows(reuse: Trajectory, other: Trajectory, *, draws: int, generator: Generator) -> list[dict[str, Any]]:
    raw = circular_shifts(reuse.values, other.values, draws=draws, generator=generator)
    loops = circular_shifts(closed(reuse.values), closed(other.values), draws=draws, generator=generator)
    about = {"expected": reuse.alike * other.alike, "null": NULL, "checkpoints": len(reuse.steps), "n": reuse.n}
    rows = [
        {
            **about, "level": "seed", "spearman": raw.each[place], "detrended": loops.each[place],
            "p": loops.p_each[place], "raw_p": raw.p_each[place], "shifts": loops.shifts[0], "seeds": 1, "seed": seed,
        }
        for place, seed in enumerate(reuse.seeds)
    ]  # fmt: skip
    if len(rows) > 1:
        low, high = _clipped(raw.each.tolist())
        detrended_low, detrended_high = _clipped(loops.each.tolist())
        rows.append(
            {
                **about, "level": "pooled", "spearman": raw.pooled, "low": low, "high": high,
                "detrended": loops.pooled, "detrended_low": detrended_low, "detrended_high": detrended_high,
                "p": loops.p_pooled, "raw_p": raw.p_pooled, "shifts": draws, "seeds": len(reuse.seeds), "seed": pd.NA,
            }
        )  # fmt: skip
    return rows


def _clipped(values: list[float]) -> tuple[float, float]:
    """The t interval over seeds of a correlation."""
    low, high = t_interval(values)
    return max(-1.0, low), min(1.0, high)
