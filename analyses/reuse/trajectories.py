"""Tables of what changes over training, as series per seed: the pairs of tasks and the measures in them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analyses.reuse.over_training import COLUMNS
from tasks import InvalidValueError

OUTCOMES = ("gap", "accuracy", "nll")
"""The measures of transfer."""


@dataclass(frozen=True)
class Trajectory:
    """One quantity of one pair of tasks over training.

    Attributes:
        about: main, auxiliary, quantity and metric.
        alike: +1 if more means more sharing, or more transfer; -1 if less does.
        steps: The checkpoints.
        seeds: The seeds.
        values: A row for each seed, a column for each checkpoint.
        n: Examples.
    """

    about: dict[str, str]
    alike: int
    steps: np.ndarray
    seeds: list[int]
    values: np.ndarray
    n: int


def reuse_trajectories(table: pd.DataFrame) -> Iterator[tuple[Trajectory, dict[str, Trajectory]]]:
    """Each measure of reuse, beside the three measures of transfer of its pair of tasks.

    Raises:
        InvalidValueError: A table of another kind, a run twice, or runs with other checkpoints or lengths.
    """
    check_trajectories(table)
    for _, pair in table.groupby(["main", "auxiliary"], sort=False):
        series = [_trajectory(part) for _, part in pair.groupby(["role", "quantity", "metric"], sort=False)]
        transfer = {one.about["quantity"]: one for one in series if one.about["quantity"] in OUTCOMES}
        for one in series:
            if one.about["quantity"] not in OUTCOMES:
                yield one, transfer


def check_trajectories(table: pd.DataFrame) -> None:
    """Raises InvalidValueError unless the table is one of `ReuseOverTraining`, of runs that can be pooled."""
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing or table.empty:
        lacking = f"it lacks {', '.join(missing)}" if missing else "it is empty"
        raise InvalidValueError(f"the table must be one that ReuseOverTraining gives; {lacking}")
    for (main, auxiliary), pair in table.groupby(["main", "auxiliary"], sort=False):
        what = f"the runs of {main!r} with {auxiliary!r}"
        twice = pair[pair.duplicated(["seed", "step", "quantity", "metric"])]
        if len(twice):
            raise InvalidValueError(
                f"{what} have seed {twice['seed'].iloc[0]} twice; choose runs that differ in their seed only"
            )
        steps = pair.groupby("seed")["step"].agg(lambda values: tuple(sorted(set(values))))
        if steps.nunique() > 1:
            counts = ", ".join(f"{len(one)} of seed {seed}" for seed, one in steps.items())
            raise InvalidValueError(f"{what} have other checkpoints ({counts}); choose runs of one configuration")
        for name in ("length", "lengths", "n", "weights"):
            if (pair.groupby(["quantity", "metric"])[name].nunique() > 1).any():
                raise InvalidValueError(f"{what} were measured at several values of {name}; measure them alike")


def _trajectory(part: pd.DataFrame) -> Trajectory:
    wide = part.pivot(index="seed", columns="step", values="value").sort_index()
    first = part.iloc[0]
    about = {name: str(first[name]) for name in ("main", "auxiliary", "quantity", "metric")}
    seeds = [int(seed) for seed in wide.index]
    values = wide.to_numpy(dtype=float)
    return Trajectory(about, int(first["alike"]), wide.columns.to_numpy(), seeds, values, int(first["n"]))
