"""Rank correlation against circular shifts: by hand, by scipy, and how often unrelated series are called related."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from analyses.statistics.shifts import circular_shifts, closed, loop_shifts, seed_pairings, spearman_over_steps
from tasks import InvalidValueError
from tests.analyses.models import seeded

Make = Callable[[np.random.Generator, int, int], np.ndarray]


def test_a_loop_has_no_line_and_one_point_less() -> None:
    # 1 3 2 7 has the line 1 3 5 7: what is left is 0 0 -3 0, the first of which is the last.
    assert closed(np.array([[1.0, 3, 2, 7], [5, 5, 5, 5]])).tolist() == [[0, -3, 0], [0, 0, 0]]


def test_correlation_is_scipys() -> None:
    random = np.random.default_rng(0)
    first, second = random.integers(0, 5, size=(2, 4, 12)).astype(float)  # with ties
    expected = [scipy.stats.spearmanr(one, two).statistic for one, two in zip(first, second, strict=True)]
    assert spearman_over_steps(first, second) == pytest.approx(np.array(expected))


def test_a_constant_series_goes_with_nothing() -> None:
    first, second = np.zeros((1, 10)), np.arange(10.0)[None]
    found = circular_shifts(first, second, draws=20, generator=seeded())
    assert (found.each[0], found.p_each[0], found.p_pooled) == (0, 1, 1)


def test_p_by_hand() -> None:
    # A single peak at step 3 in both: ranks -1/2 ... and one 7/2 of eight; the correlation is 1 unshifted, and
    # (6 * 1/4 - 2 * 7/4) / (7 * 1/4 + 49/4) = -1/7 for each of the seven shifts: none is as far from 0.
    peak = np.zeros((1, 8))
    peak[0, 3] = 1
    found = circular_shifts(peak, peak, draws=99, generator=seeded())
    assert (found.each[0], found.p_each[0]) == (pytest.approx(1), pytest.approx(1 / 8))
    # Pooled, the true shift is drawn too, once in eight: as far from 0, as the one seed must have it.
    assert (found.pooled, found.shifts) == (pytest.approx(1), (7, 99))
    assert found.p_pooled == pytest.approx(1 / 8, abs=0.1)
    # Shifted by two, it is that one shift that is as far from 0, or farther.
    apart = circular_shifts(peak, np.roll(peak, 2, axis=1), draws=99, generator=seeded())
    assert (apart.each[0], apart.p_each[0]) == (pytest.approx(-1 / 7), pytest.approx(1))


def test_pairings_by_hand() -> None:
    # Each seed's series has its own peak, at the same step in both: a correlation of 1 with its own, of -1/7 with
    # another's. Of six pairings only the true one has all three of its own: p = 2 * 1/6.
    peaks = np.eye(8)[:3]
    assert seed_pairings(peaks, peaks, draws=9, generator=seeded()) == (pytest.approx(1 / 3), 5)
    # Never beside its own: the two pairings with none of their own are as far down, the true one is one of them.
    assert seed_pairings(peaks, np.roll(peaks, 1, axis=0), draws=9, generator=seeded()) == (pytest.approx(2 / 3), 5)
    assert seed_pairings(peaks[:1], peaks[:1], draws=9, generator=seeded()) == (1, 0)


def saturating(random: np.random.Generator, seeds: int, steps: int) -> np.ndarray:
    """Learning curves: up and level, each seed with its own speed."""
    speed = random.uniform(3, 10, size=(seeds, 1))
    return 1 - np.exp(-np.arange(steps) / speed) + 0.02 * random.normal(size=(seeds, steps))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 8])  # all pairings; a sample of them
def test_curves_of_one_shape_deceive_loops_but_not_pairings_of_seeds(seeds: int) -> None:
    random, draws = np.random.default_rng(0), 300
    by_pairing = by_loop = 0
    for draw in range(draws):
        first, second = saturating(random, seeds, 40), saturating(random, seeds, 40)
        by_pairing += int(seed_pairings(first, second, draws=199, generator=seeded(draw))[0] <= 0.05)
        by_loop += int(loop_shifts(first, second, draws=99, generator=seeded(draw)).p_pooled <= 0.05)
    assert by_pairing / draws <= 0.05 + 3 * (0.05 * 0.95 / draws) ** 0.5
    assert by_loop / draws > 0.5


def test_pairings_find_what_a_seed_has_of_its_own() -> None:
    random = np.random.default_rng(0)
    own = walks(random, 5, 40)
    common = np.linspace(0, 5, 40)
    p, pairings = seed_pairings(own + common, own + common + walks(random, 5, 40) / 4, draws=9, generator=seeded())
    assert (p, pairings) == (pytest.approx(2 / 120), 119)


def test_loops_of_eight_points_have_seven() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 3, 8))
    found = loop_shifts(first, second, draws=99, generator=seeded())
    assert found.shifts == (6, 99)
    one, two = closed(first), closed(second)
    for seed in range(3):
        turned = [scipy.stats.spearmanr(one[seed], np.roll(two[seed], shift)).statistic for shift in range(7)]
        assert found.each[seed] == pytest.approx(turned[0])
        assert found.p_each[seed] == sum(abs(value) >= abs(turned[0]) - 1e-12 for value in turned) / 7
    with pytest.raises(InvalidValueError, match="^7 points are too few to compare with shifts of them; use 8"):
        loop_shifts(first[:, 1:], second[:, 1:], draws=9, generator=seeded())


def walks(random: np.random.Generator, seeds: int, steps: int) -> np.ndarray:
    return random.normal(size=(seeds, steps)).cumsum(axis=1)


def growing(random: np.random.Generator, seeds: int, steps: int) -> np.ndarray:
    return walks(random, seeds, steps) + 0.3 * np.arange(steps)


def called_related(make: Make, *, seeds: int, how: str, draws: int = 400) -> float:
    """How often two unrelated series of 40 points have p <= .05, by the mean over seeds."""
    random = np.random.default_rng(0)
    count = 0
    for draw in range(draws):
        first, second = make(random, seeds, 40), make(random, seeds, 40)
        if how == "closed":
            first, second = closed(first), closed(second)
        if how == "permuted":
            observed = abs(spearman_over_steps(first, second).mean())
            null = np.array([spearman_over_steps(first, random.permuted(second, axis=1)).mean() for _ in range(99)])
            p = ((np.abs(null) >= observed - 1e-12).sum() + 1) / 100
        else:
            p = circular_shifts(first, second, draws=99, generator=seeded(draw)).p_pooled
        count += int(p <= 0.05)
    return count / draws


@pytest.mark.slow
@pytest.mark.parametrize("make", [walks, growing])
@pytest.mark.parametrize("seeds", [1, 5])
def test_unrelated_slow_series_are_called_related_by_permutations_but_not_by_shifts_of_loops(
    make: Make, seeds: int
) -> None:
    assert called_related(make, seeds=seeds, how="closed") <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5
    assert called_related(make, seeds=seeds, how="permuted", draws=200) > 0.3


@pytest.mark.slow
def test_shifts_of_raw_series_are_deceived_by_a_common_trend() -> None:
    assert called_related(growing, seeds=5, how="raw") > 0.5


@pytest.mark.slow
def test_series_that_go_together_are_found() -> None:
    random = np.random.default_rng(0)
    first = walks(random, 5, 40)
    second = first + walks(random, 5, 40)
    found = circular_shifts(closed(first), closed(second), draws=999, generator=seeded())
    assert found.p_pooled < 0.01


def test_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        circular_shifts(np.zeros((1, 9)), np.zeros((1, 10)), draws=1, generator=seeded())
    assert str(caught.value) == "the series must have one shape. Got (1, 9) and (1, 10)"
    with pytest.raises(InvalidValueError) as caught:
        circular_shifts(np.zeros((1, 7)), np.zeros((1, 7)), draws=1, generator=seeded())
    assert str(caught.value) == "7 points are too few to compare with shifts of them; use 8 checkpoints or more"
