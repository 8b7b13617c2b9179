"""Student's t intervals, and standard errors by the jackknife for what is no mean over examples."""

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student


def t_interval(
    estimate: Float[np.ndarray, " set"], stderr: Float[np.ndarray, " set"], *, freedom: int
) -> tuple[Float[np.ndarray, " set"], Float[np.ndarray, " set"]]:
    """The ends of the 95 % interval estimate -+ t(.975, freedom) * stderr."""
    half = student.ppf(0.975, freedom) * stderr
    return estimate - half, estimate + half


def jackknife_errors(left_out: Float[np.ndarray, "set group"]) -> Float[np.ndarray, " set"]:
    """The standard error of a statistic, from its values with one group of examples left out at a time.

    sqrt((g - 1) / g * sum over groups of (value - mean value)^2), g groups of one size (Efron and Stein 1981).
    """
    groups = left_out.shape[-1]
    return np.sqrt((groups - 1) * left_out.var(axis=-1))
