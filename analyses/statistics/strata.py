"""The mean of several means, each over examples of its own, with its error, interval and test."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t as student

from analyses.statistics.student import t_interval
from tasks import InvalidValueError

ROUNDING = 1e-6
"""Values no greater than this are rounding, which depends on what runs together: they count as 0."""


@dataclass(frozen=True)
class StratifiedMean:
    """The unweighted mean of the means of some strata (as lengths), which are fixed and not drawn.

        estimate = mean over strata of the mean over its examples
        stderr   = sqrt(sum over strata of s^2 / n) / strata        s: standard deviation within the stratum (n - 1)

    So what differs between strata is no error. Degrees of freedom: Welch and Satterthwaite's; for one stratum n - 1,
    Student's own.

    Attributes:
        estimate: The mean, for each of several things measured.
        stderr: Its standard error.
        freedom: Its degrees of freedom.
        effective: How many examples have a value other than 0.
    """

    estimate: Float[np.ndarray, " thing"]
    stderr: Float[np.ndarray, " thing"]
    freedom: Float[np.ndarray, " thing"]
    effective: Int[np.ndarray, " thing"]

    @classmethod
    def of(cls, strata: Sequence[Float[np.ndarray, "thing _"]]) -> "StratifiedMean":
        """The mean over strata, from the values of every example of each.

        Raises:
            InvalidValueError: A stratum of fewer than 2 examples.
        """
        sizes = [values.shape[1] for values in strata]
        if min(sizes) < 2:
            raise InvalidValueError(f"a stratum of {min(sizes)} example gives no error; use 2 or more")
        parts = np.stack([values.var(axis=1, ddof=1) / values.shape[1] for values in strata]) / len(strata) ** 2
        return cls(
            np.stack([values.mean(axis=1) for values in strata]).mean(axis=0),
            np.sqrt(parts.sum(axis=0)),
            _freedom(parts, np.array(sizes)[:, None] - 1),
            np.stack([(np.abs(values) > ROUNDING).sum(axis=1) for values in strata]).sum(axis=0),
        )

    def minus(self, other: "StratifiedMean") -> "StratifiedMean":
        """This mean less another one, over other examples."""
        parts = np.stack([self.stderr**2, other.stderr**2])
        return StratifiedMean(
            self.estimate - other.estimate,
            np.sqrt(parts.sum(axis=0)),
            _freedom(parts, np.stack([self.freedom, other.freedom])),
            self.effective + other.effective,
        )

    def interval(self) -> tuple[Float[np.ndarray, " thing"], Float[np.ndarray, " thing"]]:
        """The ends of the 95 % t interval; both the estimate itself where all examples have one value."""
        return t_interval(self.estimate, self.stderr, freedom=self.freedom)

    def p_above(self) -> Float[np.ndarray, " thing"]:
        """One-sided p of the t test that the mean is above 0.

        By definition 1 where all values are 0. Where they are not, but do not scatter either, there is no t, and p is
        that of a sign test: 2^-(examples with a value other than 0) if the mean is above 0, else 1.
        """
        scatters = self.stderr > ROUNDING**2
        t = self.estimate / np.where(scatters, self.stderr, 1)
        alike = np.where(self.estimate > 0, np.exp2(-self.effective.astype(float)), 1)
        return np.where(self.effective == 0, 1, np.where(scatters, student.sf(t, self.freedom), alike))


def _freedom(
    parts: Float[np.ndarray, "part thing"], freedom: Float[np.ndarray, "part _"] | Int[np.ndarray, "part _"]
) -> Float[np.ndarray, " thing"]:
    """Welch and Satterthwaite: (sum of parts)^2 / sum of (part^2 / freedom); sum of freedoms if nothing scatters."""
    total = parts.sum(axis=0)
    share = parts / np.where(total > 0, total, 1)
    below = (share**2 / freedom).sum(axis=0)
    return np.where(total > 0, 1 / np.where(total > 0, below, 1), np.broadcast_to(freedom, parts.shape).sum(axis=0))
