"""Whether two tasks use the same heads: similarity of their ablation maps, with nulls and intervals."""

import textwrap
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Generator

from analyses.effects import HeadEffects
from analyses.reuse.similarity import Similarity, similarities
from analyses.statistics.resampling import Null, bootstrap_counts, bootstrap_means, head_permutations, one_sided_p
from tasks import InvalidValueError

NULLS: tuple[Null, ...] = ("free", "within_layer")

COLUMNS = [
    "first", "second", "length", "kind", "metric", "measure", "k", "estimate", "low", "high", "null", "null_mean",
    "null_low", "null_high", "p", "permutations", "bootstraps", "n", "seed",
]  # fmt: skip


@dataclass(frozen=True)
class HeadOverlap:
    """How alike two tasks' ablation maps are, against heads shuffled freely and within layers.

    Measures (`analyses.reuse.similarity`): mean absolute difference (the first paper's), cosine, Spearman, Jaccard of
    the top-k heads. Each with a 95 % percentile bootstrap interval over examples, and for each null its mean, its
    central 95 % and the one-sided p-value (b + 1) / (m + 1) towards more alike. Similar maps are no proof that the
    tasks use the heads for the same thing.

    Attributes:
        k: Size of the top-k sets.
        permutations: Shuffles per null.
        bootstraps: Bootstrap samples of the examples.
        resample: `together`: example i of both tasks is drawn together, for matched prompts; `separately` otherwise.
    """

    k: int = 3
    permutations: int = 10_000
    bootstraps: int = 2_000
    resample: Literal["together", "separately"] = "separately"

    def __post_init__(self) -> None:
        for name in ("k", "permutations", "bootstraps"):
            if getattr(self, name) < 1:
                raise InvalidValueError(f"{name} = {getattr(self, name)} is not possible; allowed is 1 or more")

    def __call__(self, first: HeadEffects, second: HeadEffects, *, generator: Generator) -> pd.DataFrame:
        """One row per measure and null.

        Columns: first, second (tasks), length, kind, metric, measure, k (0 where there is none), estimate, low, high
        (95 % interval over examples), null, null_mean, null_low, null_high (central 95 % of the null), p,
        permutations, bootstraps, n (examples of the first task), seed (of the generator).

        Args:
            first: The effects of every single head on one task.
            second: The same heads, kind and metric on another.
            generator: The source of shuffles and bootstrap samples.

        Raises:
            InvalidValueError: Effects that cannot be compared, fewer heads than k, no shuffles or bootstrap samples.
        """
        self._check(first, second)
        # Signed, as manual_seed takes it too: columns of int64 and uint64 joined would become inexact floats.
        seed = (generator.initial_seed() + 2**63) % 2**64 - 2**63
        means = [effects.effects.mean(dim=1).numpy() for effects in (first, second)]
        layers = np.array([heads[0].layer for heads in first.sets])
        orders: dict[Null, np.ndarray] = {
            null: head_permutations(layers, draws=self.permutations, null=null, generator=generator) for null in NULLS
        }
        samples = self._bootstrap(first, second, generator)
        about = {
            "first": first.task,
            "second": second.task,
            "length": first.length,
            "kind": first.kind,
            "metric": first.metric.name,
            "permutations": self.permutations,
            "bootstraps": self.bootstraps,
            "n": first.effects.shape[1],
            "seed": seed,
        }
        rows = [
            {**about, **row}
            for measure in similarities(self.k)
            for row in _rows(measure, means[0], means[1], samples, orders)
        ]
        return pd.DataFrame(rows, columns=COLUMNS)

    def _bootstrap(
        self, first: HeadEffects, second: HeadEffects, generator: Generator
    ) -> tuple[Float[np.ndarray, "draw heads"], Float[np.ndarray, "draw heads"]]:
        counts = bootstrap_counts(first.effects.shape[1], draws=self.bootstraps, generator=generator)
        other = counts
        if self.resample == "separately":
            other = bootstrap_counts(second.effects.shape[1], draws=self.bootstraps, generator=generator)
        return bootstrap_means(first.effects.numpy(), counts), bootstrap_means(second.effects.numpy(), other)

    def _check(self, first: HeadEffects, second: HeadEffects) -> None:
        for name in ("sets", "kind", "metric", "length"):
            one, two = getattr(first, name), getattr(second, name)
            if one != two:
                raise InvalidValueError(
                    f"the maps of {first.task!r} and {second.task!r} differ in {name}: {_short(one)} and "
                    f"{_short(two)}; measure both alike"
                )
        if any(len(heads) > 1 for heads in first.sets):
            raise InvalidValueError("overlap needs maps of single heads, not of a joint set; ablate the heads singly")
        if not 1 <= self.k <= len(first.sets):
            raise InvalidValueError(f"k = {self.k} top heads of {len(first.sets)}; allowed are 1 to {len(first.sets)}")
        if self.resample == "together" and first.effects.shape[1] != second.effects.shape[1]:
            raise InvalidValueError("examples resampled together must be equally many; use resample='separately'")


def _rows(
    measure: Similarity,
    first: Float[np.ndarray, " heads"],
    second: Float[np.ndarray, " heads"],
    samples: tuple[np.ndarray, np.ndarray],
    orders: dict[Null, np.ndarray],
) -> list[dict[str, Any]]:
    estimate = float(measure.between(first, second))
    low, high = np.quantile(measure.between(*samples), (0.025, 0.975))
    rows = []
    for null, order in orders.items():
        values = np.asarray(measure.between(first[None], second[order]))
        null_low, null_high = np.quantile(values, (0.025, 0.975))
        rows.append(
            {
                "measure": measure.name,
                "k": measure.k,
                "estimate": estimate,
                "low": low,
                "high": high,
                "null": null,
                "null_mean": values.mean(),
                "null_low": null_low,
                "null_high": null_high,
                "p": one_sided_p(estimate, values, alike=measure.alike),
            }
        )
    return rows


def _short(value: object) -> str:
    """A value in few words: a metric by its name, sets of heads by their number and names."""
    if not isinstance(value, tuple):
        return str(getattr(value, "name", value))
    names = ", ".join(" ".join(map(str, heads)) for heads in value)
    return f"{len(value)} sets ({textwrap.shorten(names, 60, placeholder=' ...')})"
