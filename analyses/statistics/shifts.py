"""Whether two series that change slowly go together: rank correlation against shifts, and against other seeds."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Generator

from tasks import InvalidValueError

FEWEST = 8
"""Points of a series: with fewer there are too few shifts for any to be rare."""

_MOST_PAIRINGS = 5_040

Series = Float[np.ndarray, "seed step"]


@dataclass(frozen=True)
class Association:
    """How two series go together in each of several seeds, and in all of them.

    Attributes:
        each: Spearman's correlation over steps, per seed.
        pooled: Its mean over seeds.
        p_each: Two-sided p-value of each.
        p_pooled: Two-sided p-value of the mean.
        shifts: How many shifts the p-value of each seed is from, and that of the mean.
    """

    each: Float[np.ndarray, " seed"]
    pooled: float
    p_each: Float[np.ndarray, " seed"]
    p_pooled: float
    shifts: tuple[int, int]


def closed(series: Series) -> Float[np.ndarray, "seed step-1"]:
    """The series without the straight line from its first point to its last, as a loop: first and last are one point.

    A circular shift of a raw series tears it where its end meets its beginning, so the shifted series are unlike the
    true one: two random walks, or two series that only grow, come out as associated far too often. A loop has no seam.
    Where the steps from point to point could as well have come in another order, as those of a random walk with or
    without a drift, every rotation of the loop is as probable as the loop itself, so the test is exact. A straight
    trend that both series have is then no evidence. A curved one still is: two curves that rise early and level off go
    together as loops, too, whatever they are (`seed_pairings` is not deceived by that).
    """
    steps = series.shape[1] - 1
    line = series[:, :1] + (series[:, -1:] - series[:, :1]) * np.arange(steps + 1) / steps
    return (series - line)[:, 1:]


def spearman_over_steps(first: Series, second: Series) -> Float[np.ndarray, " seed"]:
    """Spearman's correlation over steps, ties at their mean rank; 0 where one series is constant."""
    return _correlation(_ranks(first), _ranks(second))


def circular_shifts(
    first: Series, second: Float[np.ndarray, "other steps"], *, draws: int, generator: Generator
) -> Association:
    """Rank correlation of two series per seed, against the second shifted in a circle.

    The null of one seed are all shifts but the true one, exactly; that of the mean over seeds, `draws` random shifts of
    each seed on its own, the true one among them. p = (b + 1) / (m + 1), two-sided. For slow series use `loop_shifts`.

    Raises:
        InvalidValueError: Series of different shapes, or of fewer than 8 points.
    """
    check_series(first, second)
    return _compared(first, second, draws=draws, generator=generator)


def loop_shifts(
    first: Series, second: Float[np.ndarray, "other steps"], *, draws: int, generator: Generator
) -> Association:
    """The same of both series as loops (`closed`), which have one point less than the series; 8 are asked of these.

    Raises:
        InvalidValueError: As `circular_shifts`.
    """
    check_series(first, second)
    return _compared(closed(first), closed(second), draws=draws, generator=generator)


def seed_pairings(
    first: Series, second: Float[np.ndarray, "other steps"], *, draws: int, generator: Generator
) -> tuple[float, int]:
    """p-value of the mean rank correlation, against the first series of one seed beside the second of another.

    What training does to every run alike, a trend of any shape, is in every pairing of seeds; only what is a seed's own
    makes its two series go together more than those of two seeds. So the test is exact, whatever the series are like.
    Two-sided: twice the smaller one-sided p, each (b + 1) / (m + 1) over all pairings, the true one among them, or over
    `draws` of them where there are more than 5,040 (seven seeds). S seeds can give no p below 2 / S!.

    Returns:
        p, and the number of pairings other than the true one; 1 and 0 with one seed.

    Raises:
        InvalidValueError: As `circular_shifts`.
    """
    check_series(first, second)
    seeds = len(first)
    one, two = _ranks(first), _ranks(second)
    every = np.stack([_correlation(one, np.roll(two, -turn, axis=0)) for turn in range(seeds)], axis=1)
    # every[s, turn] is that of seed s with seed s + turn.
    if math.factorial(seeds) <= _MOST_PAIRINGS:
        orders = np.array(list(itertools.permutations(range(seeds))))[1:]
    else:
        keys = torch.rand(draws, seeds, generator=generator, device=generator.device, dtype=torch.float64)
        orders = keys.argsort(dim=1).cpu().numpy()
    places = np.arange(seeds)
    null, observed = every[places, (orders - places) % seeds].mean(axis=1), every[:, 0].mean()
    tails = (null >= observed - 1e-12).sum(), (null <= observed + 1e-12).sum()
    return min(1.0, 2 * float((min(tails) + 1) / (len(null) + 1))), len(null)


def check_series(first: np.ndarray, second: np.ndarray) -> None:
    """Raises InvalidValueError unless both series have the same seeds and steps, and steps enough."""
    if first.shape != second.shape:
        raise InvalidValueError(f"the series must have one shape. Got {first.shape} and {second.shape}")
    if first.shape[1] < FEWEST:
        raise InvalidValueError(
            f"{first.shape[1]} points are too few to compare with shifts of them; use {FEWEST} checkpoints or more"
        )


def _compared(first: Series, second: Series, *, draws: int, generator: Generator) -> Association:
    seeds, steps = first.shape
    one, two = _ranks(first), _ranks(second)
    shifted = np.stack([_correlation(one, np.roll(two, -shift, axis=1)) for shift in range(steps)], axis=1)
    each, null = shifted[:, 0], shifted[:, 1:]
    p_each = ((_reaches(null, each[:, None])).sum(axis=1) + 1) / steps
    chosen = torch.randint(steps, (draws, seeds), generator=generator, device=generator.device).cpu().numpy()
    means = shifted[np.arange(seeds), chosen].mean(axis=1)
    p_pooled = float((_reaches(means, each.mean()).sum() + 1) / (draws + 1))
    return Association(each, float(each.mean()), p_each, p_pooled, (steps - 1, draws))


def _reaches(null: np.ndarray, observed: np.ndarray | float) -> np.ndarray:
    """Where the null is as far from 0; a tolerance of 1e-12 counts as equal, so that rounding does not decide ties."""
    return np.abs(null) >= np.abs(observed) - 1e-12


def _ranks(series: Series) -> Series:
    ranks = rankdata(series, axis=1)
    return ranks - ranks.mean(axis=1, keepdims=True)


def _correlation(first: Series, second: Series) -> Float[np.ndarray, " seed"]:
    product = (first * second).sum(axis=1)
    norms = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.divide(product, norms, out=np.zeros_like(product), where=norms > 1e-12)
