"""Generalization gap of a model's main and auxiliary tasks, and its mean over seeds for a grid of training lengths."""

from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pandas as pd

from analyses.statistics.seeds import t_interval
from analyses.store import stored_table
from tasks import InvalidValueError
from training import Run, evaluate, named_generator
from training.runs import Weights

_POINTS = 32


@dataclass(frozen=True)
class GeneralizationGap:
    """How far the main task's accuracy by length lies from its auxiliaries' (Extrapolation by Association, section 4).

    The gap is the mean over a grid of lengths of |accuracy of the auxiliary - accuracy of the main task|: 0 where the
    curves agree, 1 where one is always right and the other never. The paper's normaliser is not recoverable; here the
    grid is every length from the shortest that both tasks have to the longer of their two training lengths (evenly
    thinned to 32 lengths if there are more), and the sum is divided by their number. Beyond both lengths neither task
    is expected to work, so those lengths would only dilute it. Several auxiliaries: the mean of their gaps.

    Attributes:
        n: Test examples per task and length; tasks that read the same prompts are tested on the same ones.
        weights: Which weights.
    """

    n: int = 256
    weights: Weights = "averaged"

    def curves(self, run: Run) -> pd.DataFrame:
        """Accuracy of every task of a run on the grid (kept in the run's `results`).

        Returns:
            A row per task and length, the columns of `evaluate`.

        Raises:
            InvalidValueError: The run was trained on one task only.
        """
        lengths = self.lengths(run)
        key = {
            "weights": run.digest(weights=self.weights),
            "tasks": [member.task.key for member in run.mixture],
            "lengths": lengths,
            "n": self.n,
            "version": version("interp-toolkit"),
        }

        def compute() -> pd.DataFrame:
            model = run.model(weights=self.weights)
            tables = [
                evaluate(
                    model, member.task, lengths=lengths, n=self.n, task_head=run.task_head(member.task.name),
                    generator=named_generator(0, "gap"),
                )
                for member in run.mixture
            ]  # fmt: skip
            return pd.concat(tables, ignore_index=True)

        return stored_table(run.path / "results", "gap-curves", key, compute)

    def lengths(self, run: Run) -> list[int]:
        """The grid of lengths of a run."""
        if len(run.mixture) < 2:
            raise InvalidValueError(
                f"run {run.name!r} has no auxiliary task, so there is no gap; choose runs that were trained with one"
            )
        shortest = max(member.task.min_length for member in run.mixture)
        longest = max(member.max_length for member in run.mixture)
        points = np.linspace(shortest, longest, min(_POINTS, longest - shortest + 1)).round().astype(int)
        return [int(length) for length in points]

    def __call__(self, run: Run) -> dict[str, object]:
        """The gap of one run.

        Returns:
            main, auxiliaries, main_length and auxiliary_length (longest in training), seed, gap (in [0, 1]);
            longer_accuracy (mean over the grid of the accuracy of what was trained on the longer lengths: the gap says
            little where that is low, since two tasks that both fail have none); shortest, longest and lengths (the
            grid's ends and number), n, weights.
        """
        curves = self.curves(run)
        accuracy = curves.pivot(index="length", columns="task", values="accuracy")
        main, *others = run.mixture
        gaps = [float((accuracy[one.task.name] - accuracy[main.task.name]).abs().mean()) for one in others]
        grid = self.lengths(run)
        longest = [one.task.name for one in run.mixture if one.max_length == max(m.max_length for m in run.mixture)]
        return {
            "main": main.task.name,
            "auxiliaries": ", ".join(one.task.name for one in others),
            "main_length": main.max_length,
            "auxiliary_length": max(one.max_length for one in others),
            "seed": run.config.seed,
            "gap": float(np.mean(gaps)),
            "longer_accuracy": float(accuracy[longest].to_numpy().mean()),
            "shortest": grid[0],
            "longest": grid[-1],
            "lengths": len(grid),
            "n": self.n,
            "weights": self.weights,
        }


def gap_grid(gaps: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """The mean gap over seeds for each pair of training lengths: the paper's Figure 10 as a table.

    Args:
        gaps: A row per run, as `GeneralizationGap` gives it.
        level: Of the t interval over seeds.

    Returns:
        A row per main_length and auxiliary_length: gap (mean over seeds), low and high (missing with one seed),
        longer_accuracy (mean over seeds), seeds, and shortest, longest, lengths, n, weights as in `gaps`.

    Raises:
        InvalidValueError: The runs are of several pairs of tasks, or a seed stands twice in a cell.
    """
    pairs = gaps[["main", "auxiliaries"]].drop_duplicates()
    if len(pairs) > 1:
        shown = "; ".join(f"{main} with {others}" for main, others in pairs.itertuples(index=False))
        raise InvalidValueError(f"a gap grid needs runs of one pair of tasks, and these are of several: {shown}")
    cell = ["main_length", "auxiliary_length"]
    twice = gaps[gaps.duplicated([*cell, "seed"])]
    if len(twice):
        main, auxiliary, seed = twice[[*cell, "seed"]].iloc[0]
        raise InvalidValueError(
            f"several runs have main length {main}, auxiliary length {auxiliary} and seed {seed}; they differ in "
            "another setting: choose runs that differ in lengths and seed only"
        )
    rows = []
    for (main, auxiliary), group in gaps.groupby(cell):
        low, high = (min(max(end, 0.0), 1.0) for end in t_interval(group["gap"].to_list(), level=level))
        same = {name: group[name].iloc[0] for name in ("shortest", "longest", "lengths", "n", "weights")}
        means = {name: group[name].mean() for name in ("gap", "longer_accuracy")}
        lengths = {"main_length": main, "auxiliary_length": auxiliary}
        rows.append({**lengths, **means, "low": low, "high": high, "seeds": len(group), **same})
    return pd.DataFrame(rows)
