"""Tables of what changes over training, made of numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analyses.reuse.over_training import COLUMNS

ALIKE = {"mean_absolute_difference": -1, "attention_difference": -1, "gap": -1, "nll": -1}
OUTCOMES = ("gap", "accuracy", "nll")

Values = Sequence[Sequence[float]] | np.ndarray


def trajectories(
    series: Mapping[str | tuple[str, str], Values], *, auxiliary: str = "copy", steps: Sequence[int] | None = None
) -> pd.DataFrame:
    """The table of `ReuseOverTraining` with these values [seed, step] of each quantity, or quantity and metric.

    Outcomes that are left out are constant.
    """
    shape = np.shape(next(iter(series.values())))
    given = {**{name: np.ones(shape) for name in OUTCOMES if name not in series}, **series}
    at = [10 * (step + 1) for step in range(shape[1])] if steps is None else steps
    rows = [
        {
            "run": f"run{seed}", "main": "shift", "auxiliary": auxiliary, "seed": seed, "weights": "averaged",
            "step": step, "role": "transfer" if quantity in OUTCOMES else "reuse", "quantity": quantity,
            "metric": metric, "alike": ALIKE.get(quantity, 1), "value": value, "length": 4,
            "lengths": "1 2 4" if quantity == "gap" else "", "n": 8,
        }
        for name, values in given.items()
        for quantity, metric in [name if isinstance(name, tuple) else (name, "")]
        for seed, one in enumerate(values)
        for step, value in zip(at, one, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)[COLUMNS]
