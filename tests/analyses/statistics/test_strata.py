"""Means over strata: scipy's t tests where these apply, the error by hand, calibrated tests, what does not scatter."""

import numpy as np
import pytest
import scipy.stats

from analyses.statistics.strata import StratifiedMean
from tasks import InvalidValueError

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.normal(0.2, 1, size=(3, 20))
OTHERS = RANDOM.normal(0, 3, size=(3, 12))


def test_one_stratum_is_students_t_test() -> None:
    found = StratifiedMean.of([VALUES])
    wanted = scipy.stats.ttest_1samp(VALUES, 0, axis=1, alternative="greater")
    np.testing.assert_allclose(found.p_above(), wanted.pvalue)
    interval = scipy.stats.ttest_1samp(VALUES, 0, axis=1).confidence_interval(0.95)
    np.testing.assert_allclose(found.interval(), np.stack([interval.low, interval.high]))
    np.testing.assert_allclose(found.freedom, 19)


def test_difference_of_two_is_welchs_t_test() -> None:
    found = StratifiedMean.of([VALUES]).minus(StratifiedMean.of([OTHERS]))
    wanted = scipy.stats.ttest_ind(VALUES, OTHERS, axis=1, equal_var=False, alternative="greater")
    np.testing.assert_allclose(found.p_above(), wanted.pvalue)
    interval = scipy.stats.ttest_ind(VALUES, OTHERS, axis=1, equal_var=False).confidence_interval(0.95)
    np.testing.assert_allclose(found.interval(), (interval.low, interval.high))


def test_what_differs_between_strata_is_no_error() -> None:
    # Means 1 and 10, so 5.5; variances 2 and 8 (n - 1) over 2 examples: sqrt(2 / 2 + 8 / 2) / 2 = sqrt(5) / 2.
    # Welch and Satterthwaite: (1 + 4)^2 / (1^2 / 1 + 4^2 / 1) = 25 / 17.
    found = StratifiedMean.of([np.array([[0.0, 2]]), np.array([[8.0, 12]])])
    assert found.estimate[0] == 5.5
    assert found.stderr[0] == pytest.approx(5**0.5 / 2)
    assert found.freedom[0] == pytest.approx(25 / 17)
    assert found.effective[0] == 3


@pytest.mark.parametrize(
    ("strata", "p", "why"),
    [
        ([[0.0, 0, 0]], 1, "nothing at all"),
        ([[0.0, 0], [0, 0, 0]], 1, "nothing in either stratum"),
        ([[1e-8, -2e-8, 3e-8]], 1, "rounding alone"),
        ([[1.0, 1, 1]], 1 / 8, "three coins"),
        ([[1.0, 1], [0, 0]], 1 / 4, "two of four examples"),
        ([[-1.0, -1, -1]], 1, "it costs nothing, it helps"),
    ],
)
def test_by_definition_where_nothing_scatters(strata: list[list[float]], p: float, why: str) -> None:
    found = StratifiedMean.of([np.array([values], dtype=float) for values in strata])
    assert found.p_above()[0] == p, why
    low, high = found.interval()
    assert low[0] == pytest.approx(found.estimate[0], abs=1e-6)
    assert high[0] == pytest.approx(found.estimate[0], abs=1e-6)


def test_p_values_are_uniform_and_intervals_cover() -> None:
    # Three strata of other means (mean 0 over them), spreads and sizes, 4,000 things at once.
    random = np.random.default_rng(0)

    def drawn() -> StratifiedMean:
        sizes, means, spreads = (10, 30, 60), (-2, 0.5, 1.5), (3, 1, 0.5)
        return StratifiedMean.of(
            [random.normal(m, s, size=(4_000, n)) for n, m, s in zip(sizes, means, spreads, strict=True)]
        )

    for found in (drawn(), drawn().minus(drawn())):
        assert scipy.stats.kstest(found.p_above(), "uniform").pvalue > 0.001
        low, high = found.interval()
        assert 0.94 < ((low <= 0) & (high >= 0)).mean() < 0.96


def test_one_example_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        StratifiedMean.of([VALUES, VALUES[:, :1]])
    assert str(caught.value) == "a stratum of 1 example gives no error; use 2 or more"
