"""Measures of likeness of two maps: values by hand, bounds, ties, and scipy where it is defined."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from analyses.reuse.similarity import (
    Likeness,
    Maps,
    Similarity,
    cosine,
    fewest_shared,
    jaccard,
    mean_absolute_difference,
    overlap_coefficient,
    rank_biased_overlap,
    similarities,
    spearman,
    top_members,
    weighted_jaccard,
)

Measure = Callable[[Maps, Maps], Likeness]


def rbo_half(first: Maps, second: Maps) -> Likeness:
    return rank_biased_overlap(first, second, persistence=0.5)


def overlap_of_2(first: Maps, second: Maps) -> Likeness:
    return overlap_coefficient(first, second, k=2)


def jaccard_of_2(first: Maps, second: Maps) -> Likeness:
    return jaccard(first, second, k=2)


# Measure, two maps, value. Working:
CASES: list[tuple[Measure, list[float], list[float], float]] = [
    (mean_absolute_difference, [1, 0, -2], [0, 0, 1], 4 / 3),  # (1 + 0 + 3) / 3
    (mean_absolute_difference, [1, 2], [1, 2], 0),
    (cosine, [3, 4, 0], [4, 3, 0], 24 / 25),  # (12 + 12) / (5 * 5)
    (cosine, [1, 2], [-2, -4], -1),
    (cosine, [1, 0], [0, 5], 0),
    (cosine, [0, 0], [1, 2], 0),  # no direction: defined as 0
    (cosine, [0, 0], [0, 0], 0),
    (spearman, [1, 2, 3, 4], [10, 20, 40, 30], 0.8),  # 1 - 6 (0 + 0 + 1 + 1) / (4 * 15)
    (spearman, [1, 2, 3], [0.3, 0.2, 0.1], -1),
    (spearman, [1, 1, 2], [1, 2, 3], math.sqrt(3) / 2),  # ranks -0.5 -0.5 1 and -1 0 1: 1.5 / sqrt(1.5 * 2)
    (spearman, [1, 1, 1], [1, 2, 3], 0),  # no order: defined as 0
    (spearman, [0, 0, 0], [0, 0, 0], 0),
    (jaccard_of_2, [9, 8, 1, 0], [9, 0, 8, 1], 1 / 3),  # {0, 1} and {0, 2}: 1 of 3
    (jaccard_of_2, [9, 8, 1, 0], [1, 2, 7, 8], 0),
    (jaccard_of_2, [9, 8, 1, 0], [8, 9, -1, -2], 1),
    (jaccard_of_2, [9, 1, 1, 0], [9, 8, 0, 0], 3 / 5),  # (1 1/2 1/2 0) and (1 1 0 0): (1 + 1/2) / (1 + 1 + 1/2)
    (weighted_jaccard, [3, 1, 0], [1, 2, 0], 2 / 5),  # (1 + 1) / (3 + 2)
    (weighted_jaccard, [3, -5, 1], [3, 0, -1], 3 / 4),  # what hurts counts as 0: (3 0 1) and (3 0 0)
    (weighted_jaccard, [0, 0, 0], [0, 0, 0], 0),  # nothing is needed, so nothing is shared
    (weighted_jaccard, [-1, -2, 0], [-1, -2, 0], 0),
    (rbo_half, [3, 2, 1], [30, 20, 10], 1),
    (rbo_half, [3, 2, 1], [2, 3, 1], 3 / 7),  # depths 1, 2, 3: 0, 2/2, 3/3; weights 4/7, 2/7, 1/7
    (rbo_half, [3, 2, 1], [1, 2, 3], (2 / 7) / 2 + 1 / 7),  # 0, 1/2, 3/3
    (rbo_half, [0, 0], [0, 0], 1),  # tied alike
    (rbo_half, [0, 0], [1, 0], (2 / 3) / 2 + 1 / 3),  # the first place half taken by each: min(1/2, 1) + min(1/2, 0)
    (overlap_of_2, [9, 8, 1, 0], [9, 0, 8, 1], 1 / 2),
    (overlap_of_2, [9, 1, 1, 0], [9, 8, 0, 0], 3 / 4),  # (1 1/2 1/2 0) and (1 1 0 0)
    (overlap_of_2, [0, 0, 0, 0], [9, 8, 0, 0], 1 / 2),
    (jaccard_of_2, [0, 0, 0, 0], [0, 0, 0, 0], 1),  # every head a member by half, in both
    (jaccard_of_2, [0, 0, 0, 0], [9, 8, 0, 0], 1 / 3),  # (4 * 1/2) and (1 1 0 0): (1/2 + 1/2) / (1 + 1 + 1/2 + 1/2)
]


@pytest.mark.parametrize(("measure", "first", "second", "value"), CASES)
def test_value_worked_out_by_hand(measure: Measure, first: list[float], second: list[float], value: float) -> None:
    one, two = np.array(first, dtype=float), np.array(second, dtype=float)
    assert measure(one, two) == pytest.approx(value)
    assert measure(two, one) == pytest.approx(value)


@pytest.mark.parametrize(
    ("values", "k", "members"),
    [
        ([3, 1, 2], 1, [1, 0, 0]),
        ([3, 1, 2], 2, [1, 0, 1]),
        ([3, 1, 2], 3, [1, 1, 1]),
        ([1, 1, 1], 2, [2 / 3, 2 / 3, 2 / 3]),
        ([5, 1, 1, 1, 0], 2, [1, 1 / 3, 1 / 3, 1 / 3, 0]),  # one place left for three
        ([5, 5, 1], 1, [1 / 2, 1 / 2, 0]),
        ([-1, -2, -3], 1, [1, 0, 0]),  # effects below 0 count by order too
    ],
)
def test_members_of_the_top_k(values: list[float], k: int, members: list[float]) -> None:
    assert top_members(np.array(values, dtype=float), k=k) == pytest.approx(np.array(members))


def maps(*, distinct: bool) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Two maps of 2 to 9 heads; ties are frequent unless all values are distinct."""
    elements = st.integers(-20 if distinct else -2, 20 if distinct else 2).map(lambda number: number / 4)
    return st.integers(2, 9).flatmap(
        lambda heads: st.tuples(
            arrays.arrays(np.float64, heads, elements=elements, unique=distinct),
            arrays.arrays(np.float64, heads, elements=elements, unique=distinct),
        )
    )


ANY_K = st.integers(1, 9)


@settings(max_examples=50)
@given(pair=maps(distinct=False), k=ANY_K)
def test_symmetric_and_within_bounds(pair: tuple[np.ndarray, np.ndarray], k: int) -> None:
    first, second = pair
    signed = {"cosine", "spearman"}
    for measure in similarities(min(k, len(first)), persistence=0.9):
        high = np.inf if measure.name == "mean_absolute_difference" else 1
        low = -1 if measure.name in signed else 0
        assert measure.limits == (low, high)
        value = measure.between(first, second)
        assert low - 1e-12 <= value <= high + 1e-12
        assert measure.between(second, first) == pytest.approx(value, abs=1e-12)
        # A constant map has no order, and one without positive effects needs no head: some measures are 0 then.
        if np.ptp(first) and (first > 0).any():
            assert measure.between(first, first) == pytest.approx(0 if measure.alike == -1 else 1)


@settings(max_examples=50)
@given(pair=maps(distinct=False), k=ANY_K)
def test_memberships_sum_to_k(pair: tuple[np.ndarray, np.ndarray], k: int) -> None:
    k = min(k, len(pair[0]))
    members = top_members(pair[0], k=k)
    assert members.sum() == pytest.approx(k)
    assert ((members >= 0) & (members <= 1)).all()


@settings(max_examples=50)
@given(pair=maps(distinct=True), k=ANY_K)
def test_jaccard_equals_that_of_plain_sets_without_ties(pair: tuple[np.ndarray, np.ndarray], k: int) -> None:
    k = min(k, len(pair[0]))
    one, two = (set(sorted(range(len(values)), key=lambda head: -values[head])[:k]) for values in pair)
    assert jaccard(*pair, k=k) == pytest.approx(len(one & two) / len(one | two))


@settings(max_examples=50)
@given(pair=maps(distinct=False))
def test_spearman_equals_scipys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    if np.ptp(pair[0]) and np.ptp(pair[1]):  # scipy's is not a number for a constant map
        assert spearman(*pair) == pytest.approx(scipy.stats.spearmanr(*pair).statistic, abs=1e-12)


@pytest.mark.parametrize("measure", similarities(2, persistence=0.9), ids=lambda measure: measure.name)
def test_many_maps_at_once_equal_one_at_a_time(measure: Similarity) -> None:
    generator = np.random.default_rng(0)
    first, second = generator.integers(-2, 3, (2, 50, 6)).astype(float)
    together = np.asarray(measure.between(first, second))
    assert together.shape == (50,)
    assert together == pytest.approx(np.array([measure.between(*pair) for pair in zip(first, second, strict=True)]))
    against_one = measure.between(first[:1], second)
    assert against_one == pytest.approx(np.array([measure.between(first[0], other) for other in second]))


def test_measures_and_their_directions() -> None:
    assert [(measure.name, measure.alike, measure.k) for measure in similarities(5, persistence=0.9)] == [
        ("mean_absolute_difference", -1, 0), ("cosine", 1, 0), ("spearman", 1, 0), ("weighted_jaccard", 1, 0),
        ("rank_biased_overlap", 1, 0), ("jaccard", 1, 5), ("overlap_coefficient", 1, 5),
    ]  # fmt: skip


@given(arrays.arrays(np.int64, (2, 6), elements=st.integers(0, 2)), st.integers(1, 6))
def test_fewest_shared_is_the_smallest_over_all_ways_to_break_ties(maps: np.ndarray, k: int) -> None:
    def top_sets(values: np.ndarray) -> set[frozenset[int]]:
        # Every set of k heads none of which has less than a head outside it.
        return {
            frozenset(chosen)
            for chosen in itertools.combinations(range(6), k)
            if min(values[list(chosen)]) >= max((values[head] for head in range(6) if head not in chosen), default=0)
        }

    first, second = maps.astype(float)
    fewest = min(len(one & other) for one in top_sets(first) for other in top_sets(second))
    assert fewest_shared(first, second, k=k) == fewest
