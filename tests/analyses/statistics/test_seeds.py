"""Intervals over seeds: by hand, and how often they cover the truth with few seeds."""

import numpy as np
import pytest

from analyses.statistics.seeds import hierarchical_interval, t_interval
from tasks import InvalidValueError
from tests.analyses.models import seeded


def test_t_interval_by_hand() -> None:
    # Mean 2, standard deviation 1, three values: 2 +- 4.303 / sqrt(3).
    assert t_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 2.4843, 2 + 2.4843), abs=1e-3)
    assert all(np.isnan(t_interval([1.0])))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("between", [0.0, 1.0])
def test_hierarchical_intervals_cover_where_plain_percentiles_do_not(seeds: int, between: float) -> None:
    random, draws = np.random.default_rng(0), 1_000
    held = plain = 0
    for draw in range(draws):
        estimates = between * random.normal(size=seeds) + 0.3 * random.normal(size=seeds)
        replicates = estimates[:, None] + 0.3 * random.normal(size=(seeds, 300))
        low, high = hierarchical_interval(estimates, replicates, generator=seeded(draw))
        held += int(low <= 0 <= high)
        chosen = random.integers(seeds, size=(300, seeds))
        low, high = np.quantile(
            replicates[chosen, random.integers(300, size=chosen.shape)].mean(axis=1), (0.025, 0.975)
        )
        plain += int(low <= 0 <= high)
    assert 0.93 <= held / draws <= 0.97
    if between:
        assert plain / draws < 0.9


def test_seeds_and_examples_that_agree_leave_no_width() -> None:
    assert hierarchical_interval(np.full(3, 0.5), np.full((3, 10), 0.5), generator=seeded()) == (0.5, 0.5)


def test_one_seed_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        hierarchical_interval(np.zeros(1), np.zeros((1, 10)), generator=seeded())
    assert str(caught.value) == "an interval over seeds needs two runs or more. Got 1; train other seeds first"
