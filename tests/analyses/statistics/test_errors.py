"""Standard errors, ratios of means, and the jackknife, against scipy and worked by hand."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from analyses.statistics.errors import (
    bootstrap_ratios,
    jackknife_errors,
    percentile_interval,
    ratio_of_means,
    standard_errors,
)
from tests.analyses.models import seeded


def test_standard_error_of_three_values() -> None:
    #   1, 0, 2     mean 1, squared deviations 0 + 1 + 1, / (3 - 1) = 1, / 3
    #   0, 0, -3    mean -1, squared deviations 1 + 1 + 4, / (3 - 1) = 3, / 3
    values = torch.tensor([[1.0, 0, 2], [0, 0, -3]])
    assert standard_errors(values).tolist() == pytest.approx([math.sqrt(1 / 3), 1])
    assert standard_errors(values[0]).item() == pytest.approx(math.sqrt(1 / 3))


def test_standard_error_is_in_float64() -> None:
    # 2^24 + 1 is no float32, but the differences of these are found exactly.
    values = torch.tensor([2.0**24, 2.0**24 + 2], dtype=torch.float32)
    assert standard_errors(values).item() == pytest.approx(1)
    assert standard_errors(values).dtype == torch.float64


def test_one_example_has_no_standard_error() -> None:
    assert standard_errors(torch.ones(2, 3, 1)).isnan().all()
    assert standard_errors(torch.ones(2, 3, 1)).shape == (2, 3)


def test_ratio_by_hand() -> None:
    # above 2, 6 over below 3, 5: 4 / 4 = 1; residuals 2 - 3, 6 - 5: deviation sqrt(2), / sqrt(2) = 1, / 4
    # above 6, 6: 6 / 4 = 1.5; residuals 6 - 4.5, 6 - 7.5: 1.5, / 4
    # above 6, 10: 2, exactly twice in each example
    above, below = torch.tensor([[2.0, 6], [6, 6], [6, 10]]), torch.tensor([3.0, 5])
    ratio, error = ratio_of_means(above, below)
    assert ratio.tolist() == [1, 1.5, 2]
    assert error.tolist() == pytest.approx([0.25, 0.375, 0])
    reverse, error = ratio_of_means(above, -below)
    assert reverse.tolist() == [-1, -1.5, -2]
    assert error.tolist() == pytest.approx([0.25, 0.375, 0])


def test_no_ratio_where_there_is_nothing_to_divide_by() -> None:
    ratio, error = ratio_of_means(torch.tensor([[1.0, 2], [0, 0]]), torch.tensor([1.0, -1]))
    assert ratio.isnan().all()
    assert error.isnan().all()
    assert ratio.shape == error.shape == (2,)


def test_error_of_a_ratio_is_that_of_a_bootstrap() -> None:
    below = 3 + torch.randn(400, generator=seeded(1), dtype=torch.float64)
    noise = torch.randn(3, 400, generator=seeded(2), dtype=torch.float64)
    above = torch.stack([below + noise[0], 0.3 * below + 0.5 * noise[1], noise[2]])
    ratio, error = ratio_of_means(above, below)
    rows = torch.randint(400, (4000, 400), generator=seeded(3)).numpy()
    again = above.numpy()[:, rows].mean(axis=2) / below.numpy()[rows].mean(axis=1)
    # 4,000 draws know a standard deviation to 1 / sqrt(8,000) = 1.1 %
    np.testing.assert_allclose(error.numpy(), again.std(axis=1), rtol=0.05)
    np.testing.assert_allclose(ratio.numpy(), again.mean(axis=1), atol=3e-3)


def test_bootstrap_ratios_by_hand() -> None:
    # Drawn 1, 1: (2 + 6) / (3 + 5) and (0 + 4) / 8; 0, 2: 6 / 5 and 4 / 5; 2, 0: 2 / 3 and 0
    above, below = np.array([[2.0, 6], [0, 4]]), np.array([3.0, 5])
    ratios = bootstrap_ratios(above, below, np.array([[1, 1], [0, 2], [2, 0]]))
    np.testing.assert_allclose(ratios, [[1, 0.5], [1.2, 0.8], [2 / 3, 0]])


def test_bootstrap_samples_without_a_ratio_are_left_out_of_the_interval() -> None:
    # Below 1, 0: drawn 0, 2 there is nothing to divide by. Of 0, 1, ..., 40 the central 95 % are 1 to 39.
    ratios = bootstrap_ratios(np.array([[0.5, 0.25]]), np.array([1.0, 0]), np.array([[1, 1], [0, 2], [2, 0]]))
    np.testing.assert_allclose(ratios, [[0.75], [np.nan], [0.5]])
    draws = np.arange(41.0)[:, None] * [1, -1]
    low, high = percentile_interval(np.insert(draws, 7, np.nan, axis=0))
    np.testing.assert_allclose([low, high], [[1, -39], [39, -1]])


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=9)
    left_out = np.array([[np.delete(values, place).mean() for place in range(9)]])
    assert jackknife_errors(left_out).tolist() == pytest.approx([scipy.stats.sem(values)])


def test_jackknife_by_hand() -> None:
    # Two groups: sqrt(1/2 * (1 + 1)) for values 1 from their mean. Three: sqrt(2/3 * (1 + 0 + 1)). All alike: 0.
    assert jackknife_errors(np.array([[3.0, 5]])) == pytest.approx([1])
    assert jackknife_errors(np.array([[1.0, 2, 3], [4, 4, 4]])) == pytest.approx([(4 / 3) ** 0.5, 0])
