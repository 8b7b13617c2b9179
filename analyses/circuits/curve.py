"""Faithfulness against circuit size: the curve, and its two summaries."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from analyses.circuits.circuit import Circuit
from analyses.circuits.recovery import Recovery
from analyses.metrics import Metric
from analyses.statistics.errors import percentile_interval

COLUMNS = [
    "metric", "choose", "size", "edges", "value", "faithfulness", "low", "high", "full", "empty", "n", "seed",
]  # fmt: skip

SUMMARY_COLUMNS = ["metric", "choose", "measure", "value", "low", "high", "n", "seed"]


@dataclass(frozen=True)
class Curve:
    """What circuits of rising size recover of the model.

    Attributes:
        metric: What was measured.
        choose: How the circuits' edges were chosen.
        sizes: The share of the model's edges that each circuit may have.
        circuits: The circuits.
        values: The metric of every example with each circuit.
        recovery: What 0 and 1 mean, and the bootstrap samples.
    """

    metric: Metric
    choose: str
    sizes: tuple[float, ...]
    circuits: tuple[Circuit, ...]
    values: Float[np.ndarray, "size batch"]
    recovery: Recovery

    def table(self) -> pd.DataFrame:
        """One row per size.

        Columns: metric, choose, size (share of the model's edges), edges (of the circuit), value (the metric, mean over
        examples), faithfulness, low, high (its 95 % interval over examples), full and empty (the metric of the clean
        and the counterfactual run), n, seed.
        """
        low, high = percentile_interval(self.recovery.draws(self.values))
        return pd.DataFrame(
            {
                "metric": self.metric.name,
                "choose": self.choose,
                "size": self.sizes,
                "edges": [len(circuit) for circuit in self.circuits],
                "value": self.values.mean(axis=1),
                "faithfulness": self.recovery.share(self.values),
                "low": low,
                "high": high,
                "full": self.recovery.full.mean(),
                "empty": self.recovery.empty.mean(),
                "n": self.values.shape[1],
                "seed": self.recovery.seed,
            },
            columns=COLUMNS,
        )

    def summary(self) -> pd.DataFrame:
        """CPR and CMD, each with a 95 % interval over examples.

            CPR = integral of f over size            the more, the sooner the circuit performs
            CMD = integral of |1 - f| over size      the less, the sooner the circuit behaves as the model

        By the trapezoid rule between the sizes of the curve, linear in size, from the smallest to the greatest (so
        their span, .999 with the usual sizes, is the CPR of a circuit that always performs as the model). Every
        bootstrap sample has a curve of its own; the interval is that of their integrals.
        Source: MIB (Mueller et al. 2025, arXiv 2504.13151, circuit localization track).
        """
        shares, draws = self.recovery.share(self.values), self.recovery.draws(self.values)
        areas = np.array([np.trapezoid(measure(shares), self.sizes) for measure in _SUMMARIES.values()])
        drawn = np.array([np.trapezoid(measure(draws), self.sizes, axis=-1) for measure in _SUMMARIES.values()])
        low, high = percentile_interval(drawn.T)
        return pd.DataFrame(
            {
                "metric": self.metric.name,
                "choose": self.choose,
                "measure": list(_SUMMARIES),
                "value": areas,
                "low": low,
                "high": high,
                "n": self.values.shape[1],
                "seed": self.recovery.seed,
            },
            columns=SUMMARY_COLUMNS,
        )

    def examples(self) -> pd.DataFrame:
        """One row per size and example: size, example, value, full, empty; to recompute any statistic later."""
        sizes, n = self.values.shape
        return pd.DataFrame(
            {
                "metric": self.metric.name,
                "choose": self.choose,
                "size": np.repeat(self.sizes, n),
                "example": np.tile(np.arange(n), sizes),
                "value": self.values.flatten(),
                "full": np.tile(self.recovery.full, sizes),
                "empty": np.tile(self.recovery.empty, sizes),
            }
        )


def _performance(shares: np.ndarray) -> np.ndarray:
    return shares


def _distance(shares: np.ndarray) -> np.ndarray:
    return np.abs(1 - shares)


_SUMMARIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"CPR": _performance, "CMD": _distance}
