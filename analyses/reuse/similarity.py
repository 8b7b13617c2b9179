"""How alike two maps of head effects are. Every measure is defined for every pair of maps, ties and zeros included."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

Maps = Float[np.ndarray, "*#draw heads"]
Likeness = Float[np.ndarray, "*#draw"] | float  # a number for one pair of maps


@dataclass(frozen=True)
class Similarity:
    """A measure of how alike two maps are.

    Attributes:
        name: Its name.
        alike: +1 if greater means more alike, -1 if smaller does.
        k: How many top heads it looks at; 0 if it looks at all.
        between: The measure of two arrays of maps, over their last axis; the others broadcast.
    """

    name: str
    alike: Literal[1, -1]
    k: int
    between: Callable[[Maps, Maps], Likeness]


def similarities(k: int) -> tuple[Similarity, ...]:
    """The measures that `HeadOverlap` reports, with the top-k sets of size k."""
    return (
        Similarity("mean_absolute_difference", -1, 0, mean_absolute_difference),
        Similarity("cosine", 1, 0, cosine),
        Similarity("spearman", 1, 0, spearman),
        Similarity("jaccard", 1, k, lambda first, second: jaccard(first, second, k=k)),
    )


def mean_absolute_difference(first: Maps, second: Maps) -> Likeness:
    """Mean over heads of |E_1 - E_2|, in the metric's unit (Extrapolation by Association, appendix). 0 = equal maps."""
    return np.abs(first - second).mean(axis=-1)


def cosine(first: Maps, second: Maps) -> Likeness:
    """Cosine of the angle between the maps, in [-1, 1]; 0 if one of them is zero everywhere."""
    product = (first * second).sum(axis=-1)
    norms = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return np.divide(product, norms, out=np.zeros_like(product), where=norms > 0)


def spearman(first: Maps, second: Maps) -> Likeness:
    """Spearman's rank correlation over heads, ties at their mean rank, in [-1, 1]; 0 if one map is constant."""
    ranks = [rankdata(maps, axis=-1) for maps in (first, second)]
    centred = [rank - rank.mean(axis=-1, keepdims=True) for rank in ranks]
    return cosine(*centred)


def jaccard(first: Maps, second: Maps, *, k: int) -> Likeness:
    """Size of the intersection over size of the union of the k heads with the greatest effects, in [0, 1].

    Heads that tie for the last places share them equally, each a member in part, and the measure is sum(min) / sum(max)
    of the memberships; without ties that is the plain Jaccard index.
    """
    one, two = top_members(first, k=k), top_members(second, k=k)
    return np.minimum(one, two).sum(axis=-1) / np.maximum(one, two).sum(axis=-1)


def top_members(maps: Maps, *, k: int) -> Maps:
    """Membership in the top k: 1 above the k-th greatest effect, 0 below, an equal share of what is left on a tie."""
    threshold = -np.partition(-maps, k - 1, axis=-1)[..., k - 1 : k]
    above, tied = maps > threshold, maps == threshold
    share = (k - above.sum(axis=-1, keepdims=True)) / tied.sum(axis=-1, keepdims=True)
    return above + tied * share
