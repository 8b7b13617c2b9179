"""Effects of heads on two tasks, side by side, and which heads matter."""

from dataclasses import dataclass

import numpy as np
from pandas import DataFrame

from tasks.errors import InvalidValueError

ERRORS_FROM_ZERO = 3.0
"""A head matters if its effect lies more than this many standard errors from zero (36 heads without any effect: p = .09
that one or more is named) ..."""

SHARE_OF_LARGEST = 0.1
"""... and is at least this share of the task's largest effect."""

METRICS = {
    "accuracy": "exact match",
    "token_accuracy": "token accuracy",
    "nll": "loss (nll)",
    "logit_difference": "logit difference",
}
"""The metrics' names in words."""


@dataclass(frozen=True)
class HeadMap:
    """One task's ablation effects [layer, head]; NaN where a head was not measured.

    Attributes:
        task: Name of the task.
        length: Length of the examples.
        effect: Positive where the head helped.
        stderr: Standard error of each effect.
        run: Which run it is of, where there are several.
    """

    task: str
    length: int
    effect: np.ndarray
    stderr: np.ndarray
    run: str = ""

    def matters(self) -> np.ndarray:
        """Where [layer, head] the effect is both clearly not zero and not small beside the largest."""
        size = np.abs(self.effect)
        largest = np.nanmax(size) if np.isfinite(size).any() else np.nan
        return (size > ERRORS_FROM_ZERO * self.stderr) & (size >= SHARE_OF_LARGEST * largest)

    def helps(self) -> np.ndarray:
        """Where [layer, head] the head matters and the task does worse without it."""
        return self.matters() & (self.effect > 0)


def head_map(table: DataFrame, *, task: str, metric: str, run: str = "") -> HeadMap:
    """One task's ablation table as a map.

    Args:
        table: `StudyResults.ablation`.
        task: Name of the task.
        metric: Name of the metric, for example "accuracy".
        run: Which run it is of, where there are several.

    Raises:
        InvalidValueError: No row, or two rows for the same head.
    """
    rows = table[(table["task"] == task) & (table["metric"] == metric)]
    if not len(rows):
        raise InvalidValueError(f"the ablation table has no rows for task {task!r} and metric {metric!r}")
    twice = rows.duplicated(["layer", "head"])
    if twice.any():
        layer, head = rows.loc[twice, ["layer", "head"]].iloc[0]
        raise InvalidValueError(
            f"the ablation table has head {layer}.{head} twice for task {task!r} and metric {metric!r}; "
            "keep one kind of ablation and one length"
        )
    shape = (int(table["layer"].max()) + 1, int(table["head"].max()) + 1)
    effect, stderr = np.full(shape, np.nan), np.full(shape, np.nan)
    place = rows["layer"].to_numpy(int), rows["head"].to_numpy(int)
    effect[place], stderr[place] = rows["effect"].to_numpy(float), rows["stderr"].to_numpy(float)
    return HeadMap(task, int(rows["length"].iloc[0]), effect, stderr, run)


def metric_name(metric: str) -> str:
    """A metric's name in words."""
    return METRICS.get(metric, metric.replace("_", " "))


def head_names(where: np.ndarray) -> list[str]:
    """The heads at which a map [layer, head] is true, as "layer.head"."""
    return [f"{layer}.{head}" for layer, head in np.argwhere(where)]
