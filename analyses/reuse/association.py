"""Whether reuse of heads follows transfer over training."""

from typing import Any

import pandas as pd
from torch import Generator

from analyses.reuse.trajectories import Trajectory, reuse_trajectories
from analyses.statistics.correction import benjamini_hochberg
from analyses.statistics.seeds import t_interval
from analyses.statistics.shifts import circular_shifts, loop_shifts, seed_pairings
from tasks import InvalidValueError

COLUMNS = [
    "main", "auxiliary", "quantity", "metric", "outcome", "level", "spearman", "low", "high", "expected", "detrended",
    "detrended_low", "detrended_high", "p", "q", "family", "correction", "null", "shifts", "raw_p", "seeds_p",
    "seeds_q", "pairings", "checkpoints", "n", "seeds", "seed",
]  # fmt: skip

NULL = "circular shifts of loops"


def association(trajectories: pd.DataFrame, *, draws: int = 10_000, generator: Generator) -> pd.DataFrame:
    """Spearman's correlation over checkpoints of each measure of reuse and each of transfer, per seed and pooled.

    Both are autocorrelated, and most of what training changes grows or falls throughout, so neither a permutation of
    checkpoints nor a circular shift of the raw series is a fair null (raw_p, for comparison: it calls two series that
    both grow related, whatever they are). Two p-values ask for more. p: the series without their straight line from
    start to end (`detrended`), as loops, against circular shifts; it sees through straight trends, and not through
    curved ones that both have. seeds_p: a seed's reuse beside its own transfer, against that of other seeds
    (`seed_pairings`); it sees through whatever training does to every run, and needs three seeds or more to say
    anything. Claim that reuse follows transfer only with both.

    Args:
        trajectories: What `ReuseOverTraining` gives for one run, or for several that differ in their seed.
        draws: Random shifts for the pooled p.
        generator: Draws them.

    Returns:
        A row per pair of tasks, measure of reuse (`quantity`, `metric`), outcome (gap, accuracy, nll) and seed, and a
        pooled one (`level`) if there are two seeds or more: spearman (pooled: mean over seeds), low, high (pooled: 95 %
        t interval over seeds, cut off at -1 and 1; missing for one), expected (the correlation's sign, if reuse goes
        with transfer), detrended, detrended_low, detrended_high, p (two-sided), q, family (p-values of that level for
        this outcome), correction, null, shifts (how many p is from), raw_p, seeds_p (two-sided; pooled only), seeds_q
        (likewise corrected), pairings (how many it is from), checkpoints, n (examples per map), seeds,
        seed (missing where pooled).

    Raises:
        InvalidValueError: Fewer than 8 checkpoints, draws below 1, runs that cannot be pooled, a table of another kind.
    """
    if draws < 1:
        raise InvalidValueError(f"draws = {draws} is not possible; allowed is 1 or more")
    rows: list[dict[str, Any]] = []
    for reuse, transfer in reuse_trajectories(trajectories):
        for outcome, other in transfer.items():
            found = _rows(reuse, other, draws=draws, generator=generator)
            rows += [{**reuse.about, "outcome": outcome, **row} for row in found]
    table = benjamini_hochberg(pd.DataFrame(rows, columns=COLUMNS), within=["level", "outcome"])
    pooled = table["level"] == "pooled"
    between = table[pooled].assign(p=table.loc[pooled, "seeds_p"])  # with one seed there is none
    table["seeds_q"] = benjamini_hochberg(between, within=["outcome"])["q"].reindex(table.index)
    return table[COLUMNS].astype({"seed": "Int64", "seeds_p": "Float64", "seeds_q": "Float64"})


def _rows(reuse: Trajectory, other: Trajectory, *, draws: int, generator: Generator) -> list[dict[str, Any]]:
    raw = circular_shifts(reuse.values, other.values, draws=draws, generator=generator)
    loops = loop_shifts(reuse.values, other.values, draws=draws, generator=generator)
    about = {"expected": reuse.alike * other.alike, "null": NULL, "checkpoints": len(reuse.steps), "n": reuse.n}
    rows = [
        {
            **about, "level": "seed", "spearman": raw.each[place], "detrended": loops.each[place],
            "p": loops.p_each[place], "raw_p": raw.p_each[place], "shifts": loops.shifts[0], "pairings": 0, "seeds": 1,
            "seed": seed,
        }
        for place, seed in enumerate(reuse.seeds)
    ]  # fmt: skip
    if len(rows) > 1:
        low, high = _clipped(raw.each.tolist())
        detrended_low, detrended_high = _clipped(loops.each.tolist())
        between, pairings = seed_pairings(reuse.values, other.values, draws=draws, generator=generator)
        rows.append(
            {
                **about, "level": "pooled", "spearman": raw.pooled, "low": low, "high": high,
                "detrended": loops.pooled, "detrended_low": detrended_low, "detrended_high": detrended_high,
                "p": loops.p_pooled, "raw_p": raw.p_pooled, "shifts": draws, "seeds_p": between, "pairings": pairings,
                "seeds": len(reuse.seeds), "seed": pd.NA,
            }
        )  # fmt: skip
    return rows


def _clipped(values: list[float]) -> tuple[float, float]:
    """The t interval over seeds of a correlation."""
    low, high = t_interval(values)
    return max(-1.0, low), min(1.0, high)
