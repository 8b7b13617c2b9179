"""Double dissociation: whether each of two tasks has heads that it needs more than the other task does."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from analyses.effects import set_text
from analyses.reuse.cross_effects import CrossTaskEffects
from analyses.statistics.controls import beside
from analyses.statistics.correction import benjamini_hochberg
from analyses.statistics.errors import percentile_interval
from training import named_generator

COLUMNS = [
    "first", "second", "length", "kind", "positions", "metric", "k", "first_heads", "second_heads", "shared",
    "first_specificity", "second_specificity", "dissociation", "low", "high", "null", "controls", "control_mean",
    "control_low", "control_high", "p", "q", "p_both", "q_both", "family", "correction", "bootstraps", "n", "seeds",
    "seed",
]  # fmt: skip

NULL = "pairs of matched sets"
"""What a dissociation is compared with: random sets, one like each task's top heads."""


def double_dissociation(found: CrossTaskEffects) -> pd.DataFrame:
    """Whether each of two tasks' top heads cost it more than the other one: a row for every two tasks.

        dissociation = min(M[i, i] - M[i, j], M[j, j] - M[j, i])

    Above 0, both sets of heads are specific; one specificity alone could be that of a task which any loss hurts more.

    low and high are the lesser of the two specificities' lower ends and of their upper ends (95 % percentile bootstrap
    over examples). The percentiles of the drawn minima would lie too low where both are nearly equal, since the lesser
    of two noisy numbers is less than either; these ends hold the lesser true specificity in 95 % or a little more.

    p asks whether *neither* set is special: its null is m pairs of control sets, one like the first task's heads and
    one like the second's, paired at random, each used once (all pairings of m sets with m others are no m * m
    independent draws); m is the lesser number of controls. If only one set is special, p can be small by chance more
    often than it says. p_both asks whether *not both* are: it is the greater of the two specificities' own p, each
    against all controls of its own task, and holds whichever of them is special.

    Columns: first, second, length, kind, positions, metric, k, first_heads, second_heads, shared (heads),
    first_specificity, second_specificity, dissociation, low, high; null, controls (m), control_mean, control_low,
    control_high (mean and central 95 % of the pairs' dissociations; missing if there are none), p ((b + 1) / (m + 1),
    b of them with at least this dissociation; so 1 without controls), q, p_both, q_both (each over all pairs of tasks),
    family (how many those are), correction, bootstraps, n (examples of each task), seeds (models: 1), seed.
    """
    pairs = itertools.combinations(range(len(found.tasks)), 2)
    ends = percentile_interval(found.drawn_specificities)
    table = pd.DataFrame([_row(found, i, j, ends) for i, j in pairs])
    return benjamini_hochberg(benjamini_hochberg(table), p="p_both", q="q_both")[COLUMNS]


def _row(found: CrossTaskEffects, i: int, j: int, ends: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    (first, *first_null), (second, *second_null) = (found.specificities(*one).tolist() for one in ((i, j), (j, i)))
    null = _paired(np.array(first_null), np.array(second_null), seed=found.seed)
    return found.about | {
        "first": found.tasks[i],
        "second": found.tasks[j],
        "k": len(found.top[i]),
        "first_heads": set_text(found.top[i]),
        "second_heads": set_text(found.top[j]),
        "shared": found.shared(i, j),
        "first_specificity": first,
        "second_specificity": second,
        "dissociation": min(first, second),
        "null": NULL,
        **{name: min(end[i, j], end[j, i]) for name, end in zip(("low", "high"), ends, strict=True)},
        **beside(min(first, second), null),
        "p_both": max(beside(first, np.array(first_null))["p"], beside(second, np.array(second_null))["p"]),
    }


def _paired(
    first: Float[np.ndarray, " first"], second: Float[np.ndarray, " second"], *, seed: int
) -> Float[np.ndarray, " pair"]:
    """The dissociations of control sets, one of each task, paired at random."""
    # If controls are all there are, they stand in one order for both tasks. Paired in that order, a set would meet
    # itself, and the dissociation of a set and itself is never above 0.
    generator, count = named_generator(seed, "cross-task", "pairs"), min(len(first), len(second))
    orders = [
        torch.randperm(len(values), generator=generator, device=generator.device).cpu().numpy()[:count]
        for values in (first, second)
    ]
    return np.minimum(first[orders[0]], second[orders[1]])
