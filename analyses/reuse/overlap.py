"""Whether two tasks use the same heads: similarity of their ablation maps, with nulls and intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Generator

from analyses.effects import HeadEffects
from analyses.reuse.comparable import check_map, check_pair, check_runs
from analyses.reuse.similarity import Similarity, fewest_shared, similarities
from analyses.statistics.corrected import Corrected, corrected
from analyses.statistics.correction import benjamini_hochberg
from analyses.statistics.resampling import (
    Null,
    bootstrap_counts,
    bootstrap_means,
    head_permutations,
    hypergeometric,
    one_sided_p,
    seed_of,
)
from analyses.statistics.seeds import hierarchical_interval
from tasks import InvalidValueError

NULLS: tuple[Null, ...] = ("free", "within_layer")

COLUMNS = [
    "first", "second", "length", "kind", "positions", "metric", "measure", "k", "estimate", "corrected", "low", "high",
    "null", "null_mean", "null_low", "null_high", "p", "q", "family", "correction", "permutations", "bootstraps", "n",
    "seeds", "seed",
]  # fmt: skip

_FAMILY = ("metric", "measure", "null")


@dataclass(frozen=True)
class _Compared:
    """One measure of two maps: its estimate, and its values with the second map's heads shuffled."""

    estimate: Corrected
    shuffled: dict[str, np.ndarray]


@dataclass(frozen=True)
class HeadOverlap:
    """How alike the ablation maps of two or more tasks are, against heads shuffled freely and within layers.

    Measures (`analyses.reuse.similarity`): mean absolute difference (the first paper's), cosine, Spearman, weighted
    Jaccard, rank-biased overlap, and of the top-k heads the Jaccard index and the overlap coefficient. For each null
    its mean, its central 95 % and the one-sided p-value (b + 1) / (m + 1) towards more alike; for the top-k sets also
    the exact hypergeometric p-value, ties for the last places broken so that the fewest heads are shared.

    The 95 % interval is for the maps without the noise of a finite number of examples: noise makes maps look less alike
    than they are, so the estimate is corrected for it (`corrected`, the middle of the interval) by a double bootstrap
    over examples (`analyses.statistics.corrected`). Similar maps are no proof that tasks use the heads for the same
    thing: `CrossTaskAblation` asks for that.

    Attributes:
        k: Size of the top-k sets.
        permutations: Shuffles per null.
        bootstraps: Bootstrap samples of the examples.
        resample: `together`: example i of both tasks is drawn together, for matched prompts; `separately` otherwise.
        persistence: Of rank-biased overlap, in (0, 1): the greater, the more the lower ranks count.
    """

    k: int = 3
    permutations: int = 10_000
    bootstraps: int = 500
    resample: Literal["together", "separately"] = "separately"
    persistence: float = 0.9

    def __post_init__(self) -> None:
        for name, least in (("k", 1), ("permutations", 1), ("bootstraps", 2)):
            if getattr(self, name) < least:
                raise InvalidValueError(f"{name} = {getattr(self, name)} is not possible; allowed is {least} or more")
        if not 0 < self.persistence < 1:
            raise InvalidValueError(f"persistence = {self.persistence}; allowed are numbers between 0 and 1")

    def __call__(self, *maps: HeadEffects, generator: Generator) -> pd.DataFrame:
        """One row per pair of tasks, measure and null.

        Columns: first, second (tasks), length, kind, positions, metric, measure, k (0 where there is none), estimate
        (of the maps as they are), corrected, low, high (of the maps without noise, 95 % over examples), null,
        null_mean, null_low, null_high (central 95 % of the null), p, q (Benjamini-Hochberg over the pairs, for each
        metric, measure and null), family (how many those are), correction, permutations (0 where p is exact),
        bootstraps, n (examples per task, the fewer of both), seeds (runs: 1), seed (of the generator).

        Args:
            maps: The effects of every single head on each task, all of one model.
            generator: The source of shuffles and bootstrap samples.

        Raises:
            InvalidValueError: Fewer than two maps, maps that cannot be compared, fewer heads than k.
        """
        self._check(maps)
        seed = seed_of(generator)
        rows = [
            {**self._about([pair], seed), **row}
            for pair in combinations(maps, 2)
            for row in self._rows([pair], generator)
        ]
        return self._table(rows)

    def over_seeds(self, runs: Sequence[Sequence[HeadEffects]], *, generator: Generator) -> pd.DataFrame:
        """One row per pair of tasks, measure and null, over several runs that differ in their seed.

        The estimates are means over seeds, the intervals hierarchical, over seeds and the examples in them
        (`analyses.statistics.seeds`). In the nulls each run's heads are shuffled on their own, since head 0.3 of one
        seed is not that of another; the hypergeometric p is for the sum of the heads shared in all runs.

        Args:
            runs: For each run the effects on each task, the same tasks in the same order.
            generator: The source of shuffles and bootstrap samples.

        Raises:
            InvalidValueError: Fewer than two runs, or runs of different tasks, versions, lengths, kinds, metrics or
                shapes, or the same weights twice.
        """
        check_runs(runs)
        for maps in runs:
            self._check(maps)
        seed, tasks = seed_of(generator), range(len(runs[0]))
        rows = [
            {**self._about(pairs, seed), **row}
            for one, other in combinations(tasks, 2)
            for pairs in [[(maps[one], maps[other]) for maps in runs]]
            for row in self._rows(pairs, generator)
        ]
        return self._table(rows)

    def _rows(self, pairs: Sequence[tuple[HeadEffects, HeadEffects]], generator: Generator) -> list[dict[str, Any]]:
        measures = similarities(self.k, persistence=self.persistence)
        compared = [self._compared(first, second, measures, generator) for first, second in pairs]
        means = [tuple(effects.effects.mean(dim=1).numpy() for effects in pair) for pair in pairs]
        rows = []
        for place, measure in enumerate(measures):
            found = [one[place] for one in compared]
            numbers = _estimate(measure, found, generator)
            estimate = {"measure": measure.name, "k": measure.k, **numbers}
            for null in NULLS:
                values = np.mean([one.shuffled[null] for one in found], axis=0)
                p = one_sided_p(numbers["estimate"], values, alike=measure.alike)
                rows.append({**estimate, "null": null, **_spread(values), "p": p})
            if measure.k:
                shared = sum(fewest_shared(*one, k=self.k) for one in means)
                p, counts = hypergeometric(
                    shared, heads=len(means[0][0]), k=self.k, times=len(means), generator=generator
                )
                values = _from_shared(measure, counts, self.k).mean(axis=1)
                rows.append({**estimate, "null": "hypergeometric", **_spread(values), "p": p, "permutations": 0})
        return rows

    def _compared(
        self, first: HeadEffects, second: HeadEffects, measures: Sequence[Similarity], generator: Generator
    ) -> list[_Compared]:
        maps = (first.effects.mean(dim=1).numpy(), second.effects.mean(dim=1).numpy())
        layers = np.array([heads[0].layer for heads in first.sets])
        orders: dict[Null, np.ndarray] = {
            null: head_permutations(layers, draws=self.permutations, null=null, generator=generator) for null in NULLS
        }
        samples = self._bootstrap(first, second, generator)
        found = []
        for measure in measures:
            estimate = corrected(measure.between, maps, samples, generator=generator)
            shuffled = {
                null: np.asarray(measure.between(maps[0][None], maps[1][order])) for null, order in orders.items()
            }
            found.append(_Compared(estimate, shuffled))
        return found

    def _bootstrap(
        self, first: HeadEffects, second: HeadEffects, generator: Generator
    ) -> tuple[Float[np.ndarray, "draw heads"], Float[np.ndarray, "draw heads"]]:
        counts = bootstrap_counts(first.effects.shape[1], draws=self.bootstraps, generator=generator)
        other = counts
        if self.resample == "separately":
            other = bootstrap_counts(second.effects.shape[1], draws=self.bootstraps, generator=generator)
        return bootstrap_means(first.effects.numpy(), counts), bootstrap_means(second.effects.numpy(), other)

    def _about(self, pairs: Sequence[tuple[HeadEffects, HeadEffects]], seed: int) -> dict[str, Any]:
        first, second = pairs[0]
        return {
            "first": first.task,
            "second": second.task,
            "length": first.length,
            "kind": first.kind,
            "positions": first.positions,
            "metric": first.metric.name,
            "permutations": self.permutations,
            "bootstraps": self.bootstraps,
            "n": min(effects.effects.shape[1] for pair in pairs for effects in pair),
            "seeds": len(pairs),
            "seed": seed,
        }

    def _table(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        return benjamini_hochberg(pd.DataFrame(rows), within=_FAMILY)[COLUMNS]

    def _check(self, maps: Sequence[HeadEffects]) -> None:
        if len(maps) < 2:
            raise InvalidValueError(f"overlap compares two maps or more. Got {len(maps)}; measure another task")
        for one in maps:
            check_map(one, k=self.k)
        for first, second in combinations(maps, 2):
            check_pair(first, second)
            if self.resample == "together" and first.effects.shape[1] != second.effects.shape[1]:
                raise InvalidValueError("examples resampled together must be equally many; use resample='separately'")


def _estimate(measure: Similarity, found: Sequence[_Compared], generator: Generator) -> dict[str, float]:
    """The plain and the corrected estimate and its interval, means over seeds where there are several."""
    middle = float(np.mean([one.estimate.value for one in found]))
    if len(found) == 1:
        half = 1.96 * found[0].estimate.error
        low, high = middle - half, middle + half
    else:
        values = np.array([one.estimate.value for one in found])
        low, high = hierarchical_interval(
            values, np.stack([one.estimate.replicates for one in found]), generator=generator
        )
    plain = float(np.mean([one.estimate.plain for one in found]))
    middle, low, high = np.clip((middle, low, high), *measure.limits).tolist()
    return {"estimate": plain, "corrected": middle, "low": low, "high": high}


def _spread(values: Float[np.ndarray, " draw"]) -> dict[str, float]:
    low, high = np.quantile(values, (0.025, 0.975))
    return {"null_mean": values.mean(), "null_low": low, "null_high": high}


def _from_shared(measure: Similarity, shared: np.ndarray, k: int) -> np.ndarray:
    """What a measure of two top-k sets is if they share so many heads."""
    return shared / k if measure.name == "overlap_coefficient" else shared / (2 * k - shared)
