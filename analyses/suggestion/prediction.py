"""What a score says of the gains of runs that it was not measured in."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import norm, rankdata
from scipy.stats import t as student
from torch import Generator

from analyses.reuse.similarity import spearman
from analyses.statistics.errors import percentile_interval
from analyses.statistics.resampling import one_sided_p

ROUNDING = 12
"""Decimals to which scores and gains are compared, so that rounding does not decide ties."""

FEWEST_CANDIDATES = 6
"""What an interval that draws candidates needs: with 4 it may hold the truth in 69 of 100 cases, with 6 in 90 to 97."""

FEWEST_SEEDS = 3
"""What an interval that draws seeds needs: of two seeds there is but one sample that has another seed for each."""


@dataclass(frozen=True)
class Prediction:
    """A score and the gain of each candidate in each seed, of which each in turn is left out.

    The gain of the seed that is left out is compared with the score's mean over the other seeds: no run gives both.
    With one seed there are no others, and its own score takes their place.

    Attributes:
        scores: The score.
        gains: What was gained.
    """

    scores: Float[np.ndarray, "seed candidate"]
    gains: Float[np.ndarray, "seed candidate"]

    @cached_property
    def foretold(self) -> Float[np.ndarray, "seed candidate"]:
        """For each seed that is left out, the score's mean over the others."""
        seeds = len(self.scores)
        if seeds == 1:
            return self.scores.round(ROUNDING)
        return np.stack([np.delete(self.scores, left_out, 0).mean(axis=0).round(ROUNDING) for left_out in range(seeds)])

    @cached_property
    def gained(self) -> Float[np.ndarray, "seed candidate"]:
        """The gain in the seed that is left out."""
        return self.gains.round(ROUNDING)

    @property
    def spearman(self) -> float:
        """Spearman's correlation of the two over candidates, mean over the seeds that are left out."""
        return float(np.mean(spearman(self.foretold, self.gained)))

    @property
    def chosen(self) -> float:
        """The gain of the candidate that the score puts first, mean over seeds; where several tie, their mean."""
        return float(_chosen(self.foretold, self.gained).mean())

    @property
    def greatest(self) -> float:
        """The greatest gain of a seed, mean over seeds."""
        return float(self.gained.max(axis=1).mean())

    @property
    def regret(self) -> float:
        """What the choice costs: `greatest` less `chosen`."""
        return float(_regrets(self.foretold, self.gained).mean())

    def p(self, orders: Int[np.ndarray, "order candidate"]) -> float:
        """One-sided p of `spearman`: the gains are given to the candidates in another order, the same in all seeds."""
        scores, gains = _unit_ranks(self.foretold), _unit_ranks(self.gained)
        products = scores.T @ gains / len(gains)  # of one candidate's score and another's gain; an order picks its own
        null = products[np.arange(len(products)), orders].sum(axis=-1)
        return one_sided_p(float(products.trace()), null, alike=1)

    def interval(self, drawn: Int[np.ndarray, "draw candidate"]) -> tuple[float, float]:
        """95 % percentile interval of `spearman`, from candidates drawn with replacement, the same ones in all seeds.

        Missing with fewer than 6 candidates.
        """
        if drawn.shape[1] < FEWEST_CANDIDATES:
            return float("nan"), float("nan")
        samples = np.asarray(spearman(self.foretold[:, drawn], self.gained[:, drawn])).mean(axis=0)
        low, high = percentile_interval(np.clip(samples, -1, 1)[:, None])  # rounding may lead beyond
        return float(low[0]), float(high[0])

    def regret_interval(self, *, draws: int, generator: Generator) -> tuple[float, float]:
        """95 % interval of `regret`, from seeds drawn with replacement, cut off at 0.

        In a sample, the score that goes with a drawn seed is the mean over those drawn that are other seeds; samples of
        one seed only are left out. S seeds drawn anew spread too little, so the deviations from the samples' mean are
        widened by sqrt(S / (S - 1)), and from a normal's tails to those of Student's t with S - 1 degrees of freedom.

        Missing with fewer than 3 seeds: with one, nothing says how the regret would differ in another; with two, all
        samples are the same.
        """
        seeds = len(self.scores)
        drawn = torch.randint(seeds, (draws, seeds), generator=generator, device=generator.device).cpu().numpy()
        others = drawn[:, :, None] != drawn[:, None, :]
        several = others.any(axis=(1, 2))
        if seeds < FEWEST_SEEDS or not several.any():
            return float("nan"), float("nan")
        drawn, others = drawn[several], others[several]
        means = others @ self.scores[drawn] / others.sum(axis=2, keepdims=True)
        samples = _regrets(means.round(ROUNDING), self.gained[drawn]).mean(axis=1)
        wider = (seeds / (seeds - 1)) ** 0.5 * student.ppf(0.975, seeds - 1) / norm.ppf(0.975)
        low, high = percentile_interval((samples - samples.mean())[:, None])
        return max(0.0, self.regret + wider * float(low[0])), self.regret + wider * float(high[0])


def firsts(scores: Float[np.ndarray, "*seed candidate"]) -> Bool[np.ndarray, "*seed candidate"]:
    """Which candidates have the greatest score."""
    return scores == scores.max(axis=-1, keepdims=True)


def _chosen(scores: Float[np.ndarray, "*seed candidate"], gains: Float[np.ndarray, "*seed candidate"]) -> np.ndarray:
    first = firsts(scores)
    return (gains * first).sum(axis=-1) / first.sum(axis=-1)


def _regrets(scores: Float[np.ndarray, "*seed candidate"], gains: Float[np.ndarray, "*seed candidate"]) -> np.ndarray:
    return gains.max(axis=-1) - _chosen(scores, gains)


def _unit_ranks(values: Float[np.ndarray, "seed candidate"]) -> Float[np.ndarray, "seed candidate"]:
    """Ranks over candidates, less their mean, of length 1; 0 where all tie. Their products are Spearman's."""
    ranks = rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(ranks, axis=1, keepdims=True)
    return np.divide(ranks, norms, out=np.zeros_like(ranks), where=norms > 0)
