"""Which comes first in training: reuse of heads, or accuracy at the transfer length."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import binomtest

from analyses.reuse.trajectories import Trajectory, reuse_trajectories
from analyses.statistics.correction import benjamini_hochberg
from analyses.statistics.seeds import t_interval
from analyses.statistics.shifts import closed, spearman_over_steps

COLUMNS = [
    "main", "auxiliary", "quantity", "metric", "level", "reuse_step", "accuracy_step", "lead", "low", "high", "p",
    "q", "family", "correction", "null", "lag", "checkpoints", "n", "seeds", "seed",
]  # fmt: skip


def leads(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Whether reuse rises before the main task's accuracy at the transfer length does, per seed and pooled.

    A series rises at the first checkpoint, after its lowest before its highest, that is halfway between these two;
    measures that fall with sharing are turned round. Noise would rise early, at random, so a series rises at all only
    if its mean over the last quarter of the checkpoints is above that over the first quarter by three standard
    deviations of a checkpoint's noise (that of its changes from one to the next, over sqrt(2)). lead = steps from the
    rise of reuse to that of accuracy: positive where reuse rises first. A seed in which one of the two does not rise
    has none. lag, in checkpoints, is how much later the detrended accuracy goes best with the detrended reuse (Spearman
    over the checkpoints that both have, at most a quarter of them either way; of several that are as good the one
    nearest to 0): positive where reuse comes first.

    Args:
        trajectories: What `ReuseOverTraining` gives for one run, or for several that differ in their seed.

    Returns:
        A row per pair of tasks, measure and seed, and a pooled one if there are two seeds or more (means over the seeds
        that have a lead): level, reuse_step, accuracy_step (where they rise), lead, low, high (pooled: 95 % t interval
        over seeds), p (pooled: exact two-sided sign test of the leads, those of 0 left out; 1 if none is left; missing
        for one seed), q (over the pooled rows), family, correction, null, lag, checkpoints, n, seeds (that have a
        lead), seed (missing where pooled).

    Raises:
        InvalidValueError: As `association`, but for the number of checkpoints.
    """
    rows: list[dict[str, Any]] = []
    for reuse, transfer in reuse_trajectories(trajectories):
        accuracy = transfer["accuracy"]
        first, second = _rises(reuse), _rises(accuracy)
        lags = [
            _lag(reuse.alike * one, two) for one, two in zip(closed(reuse.values), closed(accuracy.values), strict=True)
        ]
        about = {**reuse.about, "checkpoints": len(reuse.steps), "n": reuse.n}
        for place, seed in enumerate(reuse.seeds):
            lead = second[place] - first[place]
            rows.append(
                {
                    **about, "level": "seed", "reuse_step": first[place], "accuracy_step": second[place], "lead": lead,
                    "p": 1.0, "null": "", "lag": lags[place], "seeds": int(not np.isnan(lead)), "seed": seed,
                }
            )  # fmt: skip
        if len(reuse.seeds) > 1:
            rows.append({**about, **_pooled(first, second, lags)})
    table = benjamini_hochberg(pd.DataFrame(rows, columns=COLUMNS), within=["level"])
    table.loc[table["level"] == "seed", ["p", "q", "family", "correction"]] = [float("nan"), float("nan"), 0, ""]
    return table[COLUMNS].astype({"seed": "Int64"})


def _pooled(first: np.ndarray, second: np.ndarray, lags: list[int]) -> dict[str, Any]:
    there = ~np.isnan(second - first)
    lead = (second - first)[there]
    low, high = t_interval(lead.tolist())
    signs = lead[lead != 0]
    p = float(binomtest(int((signs > 0).sum()), len(signs)).pvalue) if len(signs) else 1.0
    means = [float(values.mean()) if len(values) else float("nan") for values in (first[there], second[there], lead)]
    return {
        **dict(zip(("reuse_step", "accuracy_step", "lead"), means, strict=True)), "level": "pooled", "low": low,
        "high": high, "p": p, "null": "sign test", "lag": float(np.mean(lags)), "seeds": len(lead), "seed": pd.NA,
    }  # fmt: skip


def _rises(series: Trajectory) -> Float[np.ndarray, " seed"]:
    """The step at which each seed's series rises; missing where it never does."""
    return np.array([_rise(series.alike * values, series.steps) for values in series.values])


def _rise(values: Float[np.ndarray, " step"], steps: np.ndarray) -> float:
    highest = int(values.argmax())
    lowest = int(values[: highest + 1].argmin())
    quarter = max(1, len(values) // 4)
    noise = np.diff(values).std() / 2**0.5
    if not values[-quarter:].mean() - values[:quarter].mean() > 3 * noise:
        return float("nan")
    half = (values[highest] + values[lowest]) / 2
    return float(steps[lowest + int((values[lowest:] >= half).argmax())])


def _lag(reuse: Float[np.ndarray, " step"], accuracy: Float[np.ndarray, " step"]) -> int:
    most = len(reuse) // 4
    lags = sorted(range(-most, most + 1), key=abs)
    together = []
    for lag in lags:
        # Checkpoint t of reuse beside t + lag of accuracy.
        one = reuse[max(0, -lag) : len(reuse) - max(0, lag)]
        two = accuracy[max(0, lag) : len(reuse) - max(0, -lag)]
        together.append(float(spearman_over_steps(one[None], two[None])[0]))
    return lags[int(np.argmax(np.round(together, 12)))]
