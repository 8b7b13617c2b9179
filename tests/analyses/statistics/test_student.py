"""t intervals, against scipy."""

import numpy as np
import pytest
import scipy.stats

from analyses.statistics.student import t_interval


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_t_interval_of_a_mean_is_scipys(level: float) -> None:
    values = np.random.default_rng(0).normal(size=(3, 7))
    stderr = values.std(axis=1, ddof=1) / 7**0.5
    expected = scipy.stats.ttest_1samp(values, 0, axis=1).confidence_interval(level)
    low, high = t_interval(values.mean(axis=1), stderr, freedom=6, level=level)
    assert low == pytest.approx(expected.low)
    assert high == pytest.approx(expected.high)


def test_each_may_have_its_own_freedom() -> None:
    # The 97.5 % quantiles of t with 1 and 2 degrees of freedom are 12.7062 and 4.3027.
    low, high = t_interval(np.array([1.0, 2.0]), np.array([1.0, 0.5]), freedom=np.array([1.0, 2.0]))
    assert low == pytest.approx([1 - 12.7062, 2 - 4.3027 / 2], abs=1e-4)
    assert high == pytest.approx([1 + 12.7062, 2 + 4.3027 / 2], abs=1e-4)
