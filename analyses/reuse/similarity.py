"""How alike two maps of head effects are. Every measure is defined for every pair of maps, ties and zeros included."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

Maps = Float[np.ndarray, "*#draw heads"]
Ranks = tuple[Int[np.ndarray, "*#draw heads"], Int[np.ndarray, "*#draw heads"]]
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
    both = [_above_and_upto(maps) for maps in (first, second)]
    ranks = [-(above + upto) / 2 for above, upto in both]  # but for a constant; those that tie at their mean rank
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
    depths = np.arange(first.shape[-1] + 1)
    weights = np.where(depths, persistence ** (depths - 1.0), 0)
    per_head = weights / weights.sum() / np.maximum(depths, 1)
    return _shared(_above_and_upto(first), _above_and_upto(second), per_head).sum(axis=-1)


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


def _shared(first: Ranks, second: Ranks, weights: Float[np.ndarray, " depths"]) -> Maps:
    """For each head the sum over depths d of weights[d] * min of its memberships in the top d of both maps.

    With a heads above and b no smaller, membership in the top d is (d - a) / (b - a), at least 0 and at most 1. The map
    in which the head begins to be a member later has the smaller membership; but where it also ends earlier, only up to
    the depth at which the two lines meet. So the sum has three parts, each of a line or of 1, which sums of weights and
    of weights * d give at once, however many kinds of ties there are.
    """
    later, earlier = first[0] >= second[0], first[0] < second[0]
    (a, b), (c, e) = (
        [np.where(which, one, other) for one, other in zip(first, second, strict=True)] for which in (later, earlier)
    )
    meets = np.where(e > b, (a * (e - c) - c * (b - a)) // np.maximum(e - c - (b - a), 1), b)
    sums, moments = weights.cumsum(), (weights * np.arange(len(weights))).cumsum()
    last = np.maximum(b, e)
    rising = (moments[meets] - moments[a] - a * (sums[meets] - sums[a])) / (b - a)
    after = (moments[last] - moments[meets] - c * (sums[last] - sums[meets])) / (e - c)
    return rising + np.where(e > b, after, 0) + sums[-1] - sums[last]


def _above_and_upto(maps: Maps) -> Ranks:
    """How many heads have a greater effect than each, and how many no smaller one, itself among them."""
    order = np.argsort(-maps, axis=-1)
    ordered, place = np.take_along_axis(maps, order, axis=-1), np.arange(maps.shape[-1])
    changes = ordered[..., 1:] != ordered[..., :-1]
    edge = np.ones((*maps.shape[:-1], 1), dtype=bool)
    begins, ends = np.concatenate((edge, changes), axis=-1), np.concatenate((changes, edge), axis=-1)
    above, upto = np.empty_like(order), np.empty_like(order)
    np.put_along_axis(above, order, np.maximum.accumulate(np.where(begins, place, 0), axis=-1), axis=-1)
    last = np.where(ends, place, len(place))[..., ::-1]
    np.put_along_axis(upto, order, np.minimum.accumulate(last, axis=-1)[..., ::-1] + 1, axis=-1)
    return above, upto
