"""A value beside those of control sets."""

from typing import Any

import numpy as np
from jaxtyping import Float

from analyses.statistics.resampling import one_sided_p


def beside(observed: float, null: Float[np.ndarray, " set"]) -> dict[str, Any]:
    """How a value stands beside those of control sets: controls, control_mean, control_low, control_high, p.

    p is one-sided, towards greater, and counts ties: values that differ by less than 6 decimals differ by rounding.
    """
    low, high = np.quantile(null, (0.025, 0.975)) if len(null) else (np.nan, np.nan)
    return {
        "controls": len(null),
        "control_mean": null.mean() if len(null) else np.nan,
        "control_low": low,
        "control_high": high,
        "p": one_sided_p(round(float(observed), 6), np.round(null, 6), alike=1),
    }
