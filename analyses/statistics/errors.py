"""Standard errors and intervals: of means and their ratios, by the bootstrap, and by the jackknife."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analyses.statistics.resampling import bootstrap_means


def standard_errors(values: Float[Tensor, "*set batch"]) -> Float[Tensor, "*set"]:
    """Standard error of the mean over examples: standard deviation (n - 1) / sqrt(n); missing for one example."""
    n = values.shape[-1]
    if n < 2:
        return torch.full(values.shape[:-1], torch.nan, dtype=torch.float64)
    return values.double().std(dim=-1, correction=1) / n**0.5


def ratio_of_means(
    above: Float[Tensor, "*set batch"], below: Float[Tensor, " batch"]
) -> tuple[Float[Tensor, "*set"], Float[Tensor, "*set"]]:
    """mean(above) / mean(below) over the same examples, and its standard error by the delta method.

    The error is that of mean(above - ratio * below) / mean(below): both vary together over examples. Where the mean
    below is 0 there is no ratio, and both are missing.
    """
    mean = below.double().mean()
    if mean.abs() <= 1e-12:
        missing = torch.full(above.shape[:-1], torch.nan, dtype=torch.float64)
        return missing, missing.clone()
    ratio = above.double().mean(dim=-1) / mean
    residuals = above.double() - ratio[..., None] * below.double()
    return ratio, standard_errors(residuals) / mean.abs()


def bootstrap_ratios(
    above: Float[np.ndarray, "set batch"], below: Float[np.ndarray, " batch"], counts: Int[np.ndarray, "draw batch"]
) -> Float[np.ndarray, "draw set"]:
    """mean(above) / mean(below) in each bootstrap sample, given how often it drew each example.

    Both means are over the same draw, so what varies together cancels. Where the mean below is 0, to 1e-12, there is no
    ratio: nan.
    """
    means = bootstrap_means(below[None], counts)
    defined = np.abs(means) > 1e-12
    return np.where(defined, bootstrap_means(above, counts) / np.where(defined, means, 1), np.nan)


def percentile_interval(
    draws: Float[np.ndarray, "draw *set"],
) -> tuple[Float[np.ndarray, "*set"], Float[np.ndarray, "*set"]]:
    """The ends of the central 95 % of bootstrap samples, of those that have a value."""
    low, high = np.nanquantile(draws, (0.025, 0.975), axis=0)
    return low, high


def jackknife_errors(left_out: Float[np.ndarray, "set group"]) -> Float[np.ndarray, " set"]:
    """The standard error of a statistic, from its values with one group of examples left out at a time.

    sqrt((g - 1) / g * sum over groups of (value - mean value)^2), g groups of one size (Efron and Stein 1981).
    """
    groups = left_out.shape[-1]
    return np.sqrt((groups - 1) * left_out.var(axis=-1))
