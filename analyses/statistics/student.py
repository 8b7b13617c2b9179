"""Student's t intervals."""

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student


def t_interval(
    estimate: Float[np.ndarray, " set"],
    stderr: Float[np.ndarray, " set"],
    *,
    freedom: int | Float[np.ndarray, " set"],
    level: float = 0.95,
) -> tuple[Float[np.ndarray, " set"], Float[np.ndarray, " set"]]:
    """The ends of the interval estimate -+ t((1 + level) / 2, freedom) * stderr.

    Args:
        estimate: Of each of several things.
        stderr: Its standard error.
        freedom: Its degrees of freedom, one number for all or one for each.
        level: How often intervals hold the truth.
    """
    half = student.ppf((1 + level) / 2, freedom) * stderr
    return estimate - half, estimate + half
