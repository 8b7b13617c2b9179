"""t intervals and the jackknife, against scipy and worked by hand."""

import numpy as np
import pytest
import scipy.stats

from analyses.statistics.student import jackknife_errors, t_interval


def test_t_interval_of_a_mean_is_scipys() -> None:
    values = np.random.default_rng(0).normal(size=(3, 7))
    stderr = values.std(axis=1, ddof=1) / 7**0.5
    expected = scipy.stats.ttest_1samp(values, 0, axis=1).confidence_interval(0.95)
    low, high = t_interval(values.mean(axis=1), stderr, freedom=6)
    assert low == pytest.approx(expected.low)
    assert high == pytest.approx(expected.high)


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=9)
    left_out = np.array([[np.delete(values, place).mean() for place in range(9)]])
    assert jackknife_errors(left_out).tolist() == pytest.approx([scipy.stats.sem(values)])


def test_jackknife_by_hand() -> None:
    # Two groups: sqrt(1/2 * (1 + 1)) for values 1 from their mean. Three: sqrt(2/3 * (1 + 0 + 1)). All alike: 0.
    assert jackknife_errors(np.array([[3.0, 5]])) == pytest.approx([1])
    assert jackknife_errors(np.array([[1.0, 2, 3], [4, 4, 4]])) == pytest.approx([(4 / 3) ** 0.5, 0])
