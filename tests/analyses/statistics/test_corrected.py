"""Statistics without the bias of noise: a bias that is known is taken off, and what has none is left alone."""

import numpy as np
import pytest

from analyses.statistics.corrected import INNER, corrected
from tests.analyses.models import seeded

HEADS, NOISE = 40, 0.5

Two = tuple[np.ndarray, np.ndarray]


def squared_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return ((first - second) ** 2).mean(axis=-1)


def mean_of_first(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first.mean(axis=-1)


def measured(random: np.random.Generator, truth: Two, draws: int) -> tuple[Two, Two]:
    """Two maps with noise of known spread, and bootstrap samples, which have as much of it once more."""
    first, second = (one + NOISE * random.normal(size=HEADS) for one in truth)
    one, two = (values + NOISE * random.normal(size=(draws, HEADS)) for values in (first, second))
    return (first, second), (one, two)


def test_the_bias_of_a_squared_difference_is_taken_off() -> None:
    # E (x - y + noise)^2 = (x - y)^2 + 2 NOISE^2, in a sample twice as much: here 1 + .5, and 1 + 1 in samples. What is
    # left of chance: the mean over 40 heads and 200 repetitions.
    random = np.random.default_rng(0)
    truth = (np.zeros(HEADS), np.ones(HEADS))
    plain, value = [], []
    for draw in range(200):
        maps, samples = measured(random, truth, 60)
        found = corrected(squared_difference, maps, samples, generator=seeded(draw))
        plain.append(found.plain)
        value.append(found.value)
    spread = np.std(value) / 200**0.5
    assert np.mean(plain) == pytest.approx(1 + 2 * NOISE**2, abs=4 * spread)
    assert np.mean(value) == pytest.approx(1, abs=4 * spread)
    assert spread < 0.03


def test_plain_value_and_replicates_by_hand() -> None:
    # Maps 0 and 1; samples 1, -1 of the first, 1, 1 of the second, so noise 1, -1 and 0, 0.
    # Samples' squared differences 0 and 4, mean 2: value 2 * 1 - 2 = 0.
    # Inner samples of the first are 1 + 1 or 1 - 1, each 1 from 1; of the second -1 + 1 or -1 - 1, 1 or 9: replicates
    # are 2 * 0 - 1, and 2 * 4 less a mean of 25 values that are 1 or 9, by the same choice for both maps.
    maps = (np.zeros(1), np.ones(1))
    samples = (np.array([[1.0], [-1.0]]), np.array([[1.0], [1.0]]))
    found = corrected(squared_difference, maps, samples, generator=seeded())
    assert (found.plain, found.value) == (1, 0)
    assert found.replicates[0] == pytest.approx(-1)
    nines = (8 - found.replicates[1] - 1) / 8 * INNER
    assert nines == pytest.approx(round(nines))
    assert 0 < nines < INNER
    assert found.error == pytest.approx(np.std(found.replicates))


def test_a_statistic_without_bias_is_left_alone() -> None:
    random = np.random.default_rng(1)
    maps, samples = measured(random, (np.arange(float(HEADS)), np.zeros(HEADS)), 4000)
    found = corrected(mean_of_first, maps, samples, generator=seeded())
    assert found.plain == pytest.approx(maps[0].mean())
    assert found.value == pytest.approx(found.plain, abs=4 * NOISE / HEADS**0.5 / 4000**0.5)
    # A replicate is 2 m* - (m* + mean of 25 samples' noise): of the noise of m* and of that mean.
    assert found.error == pytest.approx(NOISE / HEADS**0.5 * (1 + 1 / INNER) ** 0.5, rel=0.05)


def test_samples_that_are_all_alike_have_no_error_and_no_bias() -> None:
    maps = (np.arange(5.0), np.ones(5))
    samples = (np.repeat(maps[0][None], 7, axis=0), np.repeat(maps[1][None], 7, axis=0))
    found = corrected(squared_difference, maps, samples, generator=seeded())
    assert found.plain == found.value == pytest.approx(3)  # (1 + 0 + 1 + 4 + 9) / 5
    assert found.error == 0


def test_the_same_seed_gives_the_same_replicates() -> None:
    maps, samples = measured(np.random.default_rng(2), (np.zeros(HEADS), np.ones(HEADS)), 20)
    first, again, other = (
        corrected(squared_difference, maps, samples, generator=seeded(seed)).replicates for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert (first != other).any()
