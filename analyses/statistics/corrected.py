"""Estimates without the bias that noise gives them, and intervals around them: the double bootstrap."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator

INNER = 25
"""Bootstrap samples of each bootstrap sample."""

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray | float]


@dataclass(frozen=True)
class Corrected:
    """A statistic of two maps, corrected for the noise in them.

    Attributes:
        plain: The statistic of the maps as they were measured.
        value: Twice that, less its mean over bootstrap samples.
        replicates: The corrected statistic of each bootstrap sample.
    """

    plain: float
    value: float
    replicates: Float[np.ndarray, " draw"]

    @property
    def error(self) -> float:
        """The standard error: the standard deviation of the replicates."""
        return float(self.replicates.std())


def corrected(
    statistic: Statistic,
    maps: tuple[Float[np.ndarray, " heads"], Float[np.ndarray, " heads"]],
    samples: tuple[Float[np.ndarray, "draw heads"], Float[np.ndarray, "draw heads"]],
    *,
    generator: Generator,
) -> Corrected:
    """A statistic of two maps, less the bias that the noise in them gives it.

    Noise makes maps less alike than they are: it adds to their difference and takes from their cosine, and a bootstrap
    sample has the noise twice, so that a percentile interval lies off the truth twice as far. The bias is estimated by
    what the second helping of noise did, and taken off; what that does to the spread is seen by doing the same to each
    bootstrap sample, with `INNER` samples of its own: sample and mean differ by noise, and that noise is added once
    more (Efron and Tibshirani 1993, chapter 10; Hall 1992, section 1.4).

    Args:
        statistic: Of two arrays of maps, over their last axis.
        maps: The mean maps.
        samples: Bootstrap samples of them.
        generator: Chooses the inner samples.
    """
    draws = len(samples[0])
    noise = [sample - one for sample, one in zip(samples, maps, strict=True)]
    chosen = torch.randint(draws, (draws, INNER), generator=generator, device=generator.device).cpu().numpy()
    outer = np.asarray(statistic(*samples))
    inner = [sample[:, None] + one[chosen] for sample, one in zip(samples, noise, strict=True)]
    replicates = 2 * outer - np.asarray(statistic(*inner)).mean(axis=1)
    plain = float(statistic(*maps))
    return Corrected(plain, 2 * plain - float(outer.mean()), replicates)
