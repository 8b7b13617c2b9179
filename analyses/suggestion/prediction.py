"""What a score says of the gains of runs that it did not see."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from torch import Generator

from analyses.reuse.similarity import spearman
from analyses.statistics.errors import percentile_interval
from analyses.statistics.resampling import one_sided_p
from analyses.statistics.seeds import hierarchical_interval

EXACT = 8
"""With at most so many candidates all their orders are counted."""

FEWEST_DRAWN = 6
"""Candidates that an interval by drawing candidates needs: with 4 it covers the truth in 76 to 86 of 100 cases."""


@dataclass(frozen=True)
class Prediction:
    """A score and the gains in each seed that is left out, over candidates.

    Attributes:
        scores: The score of each candidate: its mean over the other seeds.
        gains: What each candidate gained in the seed that is left out.
    """

    scores: Float[np.ndarray, "seed candidate"]
    gains: Float[np.ndarray, "seed candidate"]

    @classmethod
    def of(
        cls, scores: Float[np.ndarray, "seed candidate"], gains: Float[np.ndarray, "seed candidate"], *, decimals: int
    ) -> "Prediction":
        """Leaves out each seed in turn. With one seed there are no others, and its own scores take their place.

        Args:
            scores: The score of each candidate in each seed.
            gains: Its gain.
            decimals: To which scores and gains are compared, so that rounding does not decide ties.
        """
        others = scores if len(scores) == 1 else np.stack([np.delete(scores, k, 0).mean(0) for k in range(len(scores))])
        return cls(others.round(decimals), gains.round(decimals))

    @property
    def spearman(self) -> float:
        """Spearman's correlation of score and gain over candidates, mean over the seeds that are left out."""
        return float(np.mean(spearman(self.scores, self.gains)))

    def p(self, orders: Int[np.ndarray, "order candidate"]) -> float:
        """One-sided p of that mean: the gains are given to the candidates in another order, the same in all seeds."""
        scores, gains = _unit_ranks(self.scores), _unit_ranks(self.gains)
        products = (
            scores.T @ gains / len(gains)
        )  # of each candidate's score and each one's gain: an order picks its sum
        null = products[np.arange(len(products)), orders].sum(axis=-1)
        return one_sided_p(float(products.trace()), null, alike=1)

    def interval(self, drawn: Int[np.ndarray, "draw candidate"]) -> tuple[float, float]:
        """95 % percentile interval of that mean, from candidates drawn with replacement, the same ones in all seeds.

        Missing with fewer than 6 candidates.
        """
        if drawn.shape[1] < FEWEST_DRAWN:
            return float("nan"), float("nan")
        samples = np.asarray(spearman(self.scores[:, drawn], self.gains[:, drawn])).mean(axis=0)
        low, high = percentile_interval(np.clip(samples, -1, 1)[:, None])  # rounding may lead beyond
        return float(low[0]), float(high[0])

    @property
    def chosen(self) -> Float[np.ndarray, " seed"]:
        """The gain of the candidate that the score puts first; the mean of all first ones if they tie."""
        first = firsts(self.scores)
        return (self.gains * first).sum(axis=1) / first.sum(axis=1)

    @property
    def regrets(self) -> Float[np.ndarray, " seed"]:
        """The greatest gain less that of the candidate that the score puts first."""
        return self.gains.max(axis=1) - self.chosen

    def regret_interval(self, *, draws: int, generator: Generator) -> tuple[float, float]:
        """95 % interval of the mean regret, from seeds drawn with replacement (`hierarchical_interval`), cut off at 0.

        Missing with one seed: nothing says how the regret would differ in another.
        """
        regrets = self.regrets
        if len(regrets) == 1:
            return float("nan"), float("nan")
        low, high = hierarchical_interval(regrets, np.repeat(regrets[:, None], draws, axis=1), generator=generator)
        return max(low, 0.0), high


def firsts(scores: Float[np.ndarray, "*seed candidate"]) -> Bool[np.ndarray, "*seed candidate"]:
    """Which candidates have the greatest score."""
    return scores == scores.max(axis=-1, keepdims=True)


def candidate_orders(count: int, *, draws: int, generator: Generator) -> Int[np.ndarray, "order candidate"]:
    """All orders but the one that is there, where there are few enough; else random ones."""
    if count <= EXACT:
        return np.array(list(itertools.permutations(range(count))))[1:]
    return torch.rand(draws, count, generator=generator, dtype=torch.float64).argsort(dim=1).numpy()


def _unit_ranks(values: Float[np.ndarray, "seed candidate"]) -> Float[np.ndarray, "seed candidate"]:
    """Ranks over candidates, less their mean, of length 1; 0 where all tie. Their products are Spearman's."""
    ranks = rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(ranks, axis=1, keepdims=True)
    return np.divide(ranks, norms, out=np.zeros_like(ranks), where=norms > 0)
