"""Confidence intervals of exact-match accuracies: right at 0 and 1 too, where the standard error is zero."""

import math
from dataclasses import dataclass

Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: an interval of 95 % lies this many standard errors each way."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; all three are NaN where it is not defined."""

    value: float
    low: float
    high: float

    @property
    def defined(self) -> bool:
        """Whether the number and its interval exist."""
        return not any(math.isnan(number) for number in (self.value, self.low, self.high))


UNDEFINED = Estimate(math.nan, math.nan, math.nan)


def wilson(accuracy: float, n: int | float) -> Estimate:
    """An accuracy with its 95 % Wilson score interval (Wilson 1927).

    Unlike accuracy +- 1.96 standard errors, the interval has a width when every example is right or every one wrong.

    Args:
        accuracy: Fraction of examples that are right, in [0, 1]; NaN gives `UNDEFINED`.
        n: How many examples; NaN or 0 gives `UNDEFINED`.
    """
    if math.isnan(accuracy) or math.isnan(n) or n <= 0:
        return UNDEFINED
    square = Z95 * Z95
    centre = (accuracy + square / (2 * n)) / (1 + square / n)
    spread = Z95 / (1 + square / n) * math.sqrt(accuracy * (1 - accuracy) / n + square / (4 * n * n))
    return Estimate(accuracy, min(accuracy, max(0.0, centre - spread)), max(accuracy, min(1.0, centre + spread)))


def newcombe(first: Estimate, second: Estimate) -> Estimate:
    """The difference of two independent accuracies with its 95 % interval (Newcombe 1998, method 10).

    Args:
        first: The accuracy to subtract from, from `wilson`.
        second: The accuracy to subtract, from `wilson`.

    Returns:
        `first` minus `second`; `UNDEFINED` if either is.
    """
    if not (first.defined and second.defined):
        return UNDEFINED
    difference = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(difference, difference - below, difference + above)
