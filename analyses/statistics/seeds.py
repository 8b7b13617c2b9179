"""Intervals over seeds: the mean of a few runs, and the hierarchical bootstrap of runs and of the examples in them."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import norm
from scipy.stats import t as student
from torch import Generator

from analyses.statistics import student as students
from tasks import InvalidValueError

MOST_SEEDS = 20
"""So many seeds have 2^20 sign flips, all of which are counted."""


def t_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """The t interval of the mean of a value per seed; both ends missing with one seed."""
    if len(values) < 2:
        return float("nan"), float("nan")
    mean, stderr = np.array([np.mean(values)]), np.array([np.std(values, ddof=1) / len(values) ** 0.5])
    low, high = students.t_interval(mean, stderr, freedom=len(values) - 1, level=level)
    return low.item(), high.item()


def hierarchical_interval(
    estimates: Float[np.ndarray, " seed"], replicates: Float[np.ndarray, "seed draw"], *, generator: Generator
) -> tuple[float, float]:
    """The 95 % interval of the mean over seeds, from seeds drawn anew and, in each, the examples.

    The plain percentile interval of such draws fails twice: a bootstrap of S seeds spreads only (S - 1) / S as wide as
    it should and knows no tails beyond its few seeds, and the examples' noise is counted twice, since the seeds'
    estimates contain it already. So the draws keep their shape and are spread about the mean to the unbiased standard
    error (the standard deviation over seeds by sqrt(S)) and, at the ends, from a normal's width to that of Student's t
    with S - 1 degrees of freedom.

    Args:
        estimates: The statistic of each seed.
        replicates: Bootstrap replicates of each, over its examples.
        generator: Draws the seeds.

    Raises:
        InvalidValueError: Fewer than two seeds.
    """
    seeds, draws = replicates.shape
    check_seeds(seeds)
    chosen = torch.randint(seeds, (draws, seeds), generator=generator, device=generator.device).cpu().numpy()
    places = torch.randint(draws, (draws, seeds), generator=generator, device=generator.device).cpu().numpy()
    means = replicates[chosen, places].mean(axis=1)
    spread = means.std()
    if spread == 0:
        return float(estimates.mean()), float(estimates.mean())
    right = estimates.std(ddof=1) / seeds**0.5 * student.ppf(0.975, seeds - 1) / norm.ppf(0.975)
    low, high = np.quantile(means - means.mean(), (0.025, 0.975)) * right / spread + estimates.mean()
    return float(low), float(high)


def sign_flip_p(differences: Float[np.ndarray, " seed"]) -> float:
    """The exact p-value of a mean above 0 of paired differences, one-sided, over all flips of their signs.

    A tolerance of 1e-12 counts as equal, so that rounding does not decide ties. Differences of 0 throughout give 1.

    Raises:
        InvalidValueError: More than 20 differences.
    """
    if len(differences) > MOST_SEEDS:
        raise InvalidValueError(f"{len(differences)} seeds have too many sign flips; allowed are up to {MOST_SEEDS}")
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate((sums + difference, sums - difference))
    return float((sums >= sums[0] - 1e-12).mean())


def check_seeds(seeds: int) -> None:
    """Raises InvalidValueError unless there are two seeds or more."""
    if seeds < 2:
        raise InvalidValueError(f"an interval over seeds needs two runs or more. Got {seeds}; train other seeds first")


def check_paired_seeds(seeds: Sequence[int]) -> None:
    """Raises InvalidValueError unless there are seeds enough, and not too many, for a comparison over them."""
    if not 2 <= len(seeds) <= MOST_SEEDS:
        raise InvalidValueError(
            f"{len(seeds)} seeds are {'too few' if len(seeds) < 2 else 'too many'} to compare conditions over; "
            f"allowed are 2 to {MOST_SEEDS}, and p is never below 1 / 2^seeds"
        )
