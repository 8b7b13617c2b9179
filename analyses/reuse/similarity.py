"""How alike two maps of head effects are. Every measure is defined for every pair of maps, ties and zeros included."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
        limits: Its smallest and greatest possible value.
    """

    name: str
    alike: Literal[1, -1]
    k: int
    between: Callable[[Maps, Maps], Likeness]
    limits: tuple[float, float]


def similarities(k: int, *, persistence: float) -> tuple[Similarity, ...]:
    """The measures that `HeadOverlap` reports, with the top-k sets of size k."""
    return (
        Similarity("mean_absolute_difference", -1, 0, mean_absolute_difference, (0.0, np.inf)),
        Similarity("cosine", 1, 0, cosine, (-1.0, 1.0)),
        Similarity("spearman", 1, 0, spearman, (-1.0, 1.0)),
        Similarity("weighted_jaccard", 1, 0, weighted_jaccard, (0.0, 1.0)),
        Similarity("rank_biased_overlap", 1, 0, partial(rank_biased_overlap, persistence=persistence), (0.0, 1.0)),
        Similarity("jaccard", 1, k, partial(jaccard, k=k), (0.0, 1.0)),
        Similarity("overlap_coefficient", 1, k, partial(overlap_coefficient, k=k), (0.0, 1.0)),
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


def weighted_jaccard(first: Maps, second: Maps) -> Likeness:
    """Sum of min(E_1, E_2) over sum of max(E_1, E_2), in [0, 1], negative effects counted as 0.

    How much of what either task needs, both need. 0 if no head helps either task: nothing is needed, so nothing shared.
    """
    one, two = np.maximum(first, 0), np.maximum(second, 0)
    either = np.asarray(np.maximum(one, two).sum(axis=-1))
    return np.divide(np.minimum(one, two).sum(axis=-1), either, out=np.zeros_like(either), where=either > 0)


def rank_biased_overlap(first: Maps, second: Maps, *, persistence: float) -> Likeness:
    """Weighted mean over depths d of |top d of one, and of the other| / d, in [0, 1]; weights persistence^(d - 1).

    Webber, Moffat and Zobel 2010, over all heads, the weights scaled to sum to 1, so that equal orders give 1. Heads
    that tie are members of a top d in part, as in `jaccard`. A persistence of .9 puts 86 % of the weight on the top ten
    of many heads.
    """
    depths = np.arange(1, first.shape[-1] + 1)
    weights = persistence ** (depths - 1)
    one, of_one = _memberships(first)
    two, of_two = _memberships(second)
    # Heads of few kinds, in many maps: what each two kinds share at all depths together is worked out once.
    shared = np.stack([np.minimum(kind, two) @ (weights / weights.sum() / depths) for kind in one])
    return shared[of_one, of_two].sum(axis=-1)


def jaccard(first: Maps, second: Maps, *, k: int) -> Likeness:
    """Size of the intersection over size of the union of the k heads with the greatest effects, in [0, 1].

    Heads that tie for the last places share them equally, each a member in part, and the measure is sum(min) / sum(max)
    of the memberships; without ties that is the plain Jaccard index.
    """
    one, two = top_members(first, k=k), top_members(second, k=k)
    return np.minimum(one, two).sum(axis=-1) / np.maximum(one, two).sum(axis=-1)


def overlap_coefficient(first: Maps, second: Maps, *, k: int) -> Likeness:
    """Share of the k heads with the greatest effects that are the same, in [0, 1]; ties as in `jaccard`."""
    return np.minimum(top_members(first, k=k), top_members(second, k=k)).sum(axis=-1) / k


def top_members(maps: Maps, *, k: int) -> Maps:
    """Membership in the top k: 1 above the k-th greatest effect, 0 below, an equal share of what is left on a tie."""
    threshold = -np.partition(-maps, k - 1, axis=-1)[..., k - 1 : k]
    above, tied = maps > threshold, maps == threshold
    share = (k - above.sum(axis=-1, keepdims=True)) / tied.sum(axis=-1, keepdims=True)
    return above + tied * share


def fewest_shared(first: Float[np.ndarray, " heads"], second: Float[np.ndarray, " heads"], *, k: int) -> int:
    """How many of the k top heads the two maps share, ties for the last places broken so that they share the fewest."""
    (sure_1, tied_1), (sure_2, tied_2) = (_sure_and_tied(values, k=k) for values in (first, second))
    free_1, free_2 = k - sure_1.sum(), k - sure_2.sum()
    # What one map has still to choose, it takes first from heads that the other does not have and cannot choose.
    rest_1 = max(0, free_1 - (tied_1 & ~sure_2 & ~tied_2).sum())
    rest_2 = max(0, free_2 - (tied_2 & ~sure_1 & ~tied_1).sum())
    return int((sure_1 & sure_2).sum() + max(0, rest_1 + rest_2 - (tied_1 & tied_2).sum()))


def _sure_and_tied(values: Float[np.ndarray, " heads"], *, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Which heads are among the top k whatever the order of ties, and which tie for the last places."""
    threshold = -np.partition(-values, k - 1)[k - 1]
    return values > threshold, values == threshold


def _memberships(maps: Maps) -> tuple[Float[np.ndarray, "kind depth"], np.ndarray]:
    """Membership in the top 1, 2, ... of each kind of head, and of which kind each head is.

    A kind are heads with as many above them and as many that tie: with a above and b that are no less, membership in
    the top d is (d - a) / (b - a), at least 0 and at most 1.
    """
    heads = maps.shape[-1]
    above = rankdata(-maps, method="min", axis=-1).astype(np.int64) - 1
    upto = rankdata(-maps, method="max", axis=-1).astype(np.int64)
    kinds, places = np.unique(above * (heads + 1) + upto, return_inverse=True)
    first, last = kinds[:, None] // (heads + 1), kinds[:, None] % (heads + 1)
    return np.clip((np.arange(1, heads + 1) - first) / (last - first), 0, 1), places.reshape(maps.shape)
