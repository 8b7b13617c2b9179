"""Is it the auxiliary's alignment, or just training on several tasks? Conditions that tell, trained and measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analyses.ablation import HeadAblation
from analyses.effects import HeadEffects
from analyses.reuse.mean_cosine import mean_cosine, shuffled_mean_cosines
from analyses.reuse.run_effects import Measured, run_effects
from analyses.statistics.resampling import one_sided_p
from analyses.statistics.seeds import check_paired_seeds
from analyses.store import stored_table
from analyses.transfer.conditions import check_fixed, finished_runs, group_of
from analyses.transfer.isolation_table import REUSE_COLUMNS, RUN_COLUMNS, isolation_table
from tasks import Group, InvalidValueError
from training import Grid, Run, Serial, SweepResult, Watcher, evaluate, named_generator, run_sweep
from training.conditions import isolating_conditions
from training.runs import Weights
from training.sweep import Cell, Engine

MAP = HeadAblation(kind="mean", metric="nll")
"""The ablation map in which reuse is measured."""

_SERIAL, _SILENT = Serial(), Watcher()


@dataclass(frozen=True)
class Isolation:
    """Trains a group's main task in every condition that the group has, on several seeds, and compares them.

    A main task that reaches its auxiliary's lengths may do so because the two tasks are aligned, or because anything
    that comes with a second task helps: a regulariser, long positions seen, fewer examples of the main task. Each
    condition takes one of these away, or leaves only that (`training.conditions`), at the same preset, seeds and shape:

        auxiliary   the main task with its auxiliaries
        alone       the main task only
        control     with unrelated tasks at the auxiliaries' lengths
        shuffled    with the auxiliaries' prompts, answered at random: nothing in them to share
        short       with the auxiliaries at the main task's lengths: no long positions
        matched     the main task only, on as many examples of it as in `auxiliary`

    Measured is the exact match of the main task at the transfer length, and reuse: the cosine of the ablation maps of
    the main task and of each task it was trained with (mean over those), at that length, heads mean-ablated, in nll. A
    model that was trained on the main task only has not learned the others, so it has no reuse: missing. What reuse
    would be by chance is found by shuffling the main task's heads within their layers.

    Attributes:
        group: The group's name.
        preset: A preset's name, or a TOML file.
        seeds: The seeds, each trained in every condition; 2 to 20.
        n: Test examples for accuracy; the ablation maps use half as many.
        permutations: Shuffles of heads.
        weights: Which weights are measured.
        fixed: What else all runs have in common, as a sweep's grid names it: `{"main_length": 5, "train.steps": 600}`.

    Raises:
        InvalidValueError: Fewer than 2 seeds or more than 20, n below 4, no permutations, a group without auxiliaries,
            a key in `fixed` that has a field of its own, or an impossible grid.
        UnknownNameError: A group, preset or key that does not exist.
    """

    group: str
    preset: str = "small"
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    n: int = 1024
    permutations: int = 10_000
    weights: Weights = "averaged"
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_paired_seeds(self.seeds)
        if self.n < 4:
            raise InvalidValueError(f"n = {self.n} examples are too few for an isolation; use at least 4")
        if self.permutations < 1:
            raise InvalidValueError(f"permutations = {self.permutations} is not possible; allowed is 1 or more")
        check_fixed(self.fixed, chosen=("group", "preset", "condition", "seed"), by="an isolation")
        if not self.tasks.auxiliaries:
            raise InvalidValueError(
                f"group {self.group!r} has no auxiliary tasks, so there is nothing to isolate; choose another group"
            )
        self.grid.cells()

    @property
    def tasks(self) -> Group:
        """The group, at the lengths and with the marking that are asked for."""
        return group_of(self.group, self.fixed)

    @property
    def grid(self) -> Grid:
        """The sweep: every condition of the group with every seed."""
        common = {**self.fixed, "group": self.group, "preset": self.preset}
        axes = {"condition": isolating_conditions(self.tasks), "seed": self.seeds}
        return Grid.read({"name": "isolate", "fixed": common, "axes": axes})

    def __call__(
        self,
        folder: Path | str,
        *,
        engine: Engine = _SERIAL,
        watcher: Watcher = _SILENT,
        on_run: Callable[[int, int], object] = lambda *_: None,
    ) -> pd.DataFrame:
        """Trains what is not trained yet, measures what is not measured yet, and compares: a row per condition.

        Args:
            folder: The folder of the sweep.
            engine: What trains the runs.
            watcher: Is told what becomes of them.
            on_run: Called with how many runs are measured, and how many there are.

        Returns:
            The table of `isolation_table`.

        Raises:
            InvalidValueError: A run failed; or the folder holds something else.
        """
        result = self.train(folder, engine=engine, watcher=watcher)
        runs = self.measure(result, on_run=on_run)
        return isolation_table(runs, self.reuse(result))

    def train(self, folder: Path | str, *, engine: Engine = _SERIAL, watcher: Watcher = _SILENT) -> SweepResult:
        """Trains what is not trained yet, as a sweep does."""
        return run_sweep(self.grid, folder, engine=engine, watcher=watcher)

    def measure(self, result: SweepResult, *, on_run: Callable[[int, int], object] = lambda *_: None) -> pd.DataFrame:
        """What each run does, kept in its `results`: a row per run, as `isolation_table` takes it.

        Raises:
            InvalidValueError: A run failed.
        """
        rows = []
        for cell, (_, run) in zip(result.cells, finished_runs(result), strict=True):
            rows.append(self._row(cell, run))
            on_run(len(rows), len(result.cells))
        return pd.DataFrame(rows, columns=RUN_COLUMNS).astype({"auxiliary_length": "Int64"})

    def reuse(self, result: SweepResult) -> pd.DataFrame:
        """How great reuse is beside chance: a row per condition that trains other tasks too, for `isolation_table`.

        The null is the mean over seeds of the cosine with the heads of the main task's map shuffled within their
        layers, each seed's by themselves; with several other tasks, of the mean cosine with them, the same shuffle for
        all. p is the share of shuffles with a mean at least as great, (b + 1) / (m + 1).

        Returns:
            condition, reuse_null, reuse_null_mean, reuse_p, reuse_permutations (m). The maps are kept with the runs.

        Raises:
            InvalidValueError: A run failed.
        """
        of: dict[str, list[list[HeadEffects]]] = {}
        for cell, (condition, run) in zip(result.cells, finished_runs(result), strict=True):
            if len(run.mixture) > 1:
                of.setdefault(condition, []).append(self._maps(run, cell.lengths[1]))
        rows = []
        for condition, maps in of.items():
            generator = named_generator(self.seeds[0], "isolation", condition)
            null = shuffled_mean_cosines(maps, draws=self.permutations, generator=generator)
            p = one_sided_p(float(np.mean([mean_cosine(one) for one in maps])), null, alike=1)
            rows.append((condition, "within_layer", null.mean(), p, len(null)))
        return pd.DataFrame(rows, columns=REUSE_COLUMNS)

    def _row(self, cell: Cell, run: Run) -> dict[str, object]:
        own, transfer, _ = cell.lengths
        main, *others = run.mixture
        accuracy = self._accuracy(run, (own, transfer)).set_index("length")["accuracy"]
        train = run.config.train
        return {
            "main": main.task.name,
            "condition": cell.values["condition"],
            "others": ", ".join(member.task.name for member in others),
            "seed": run.config.seed,
            "length": transfer,
            "n": self.n,
            "accuracy": accuracy[transfer],
            "own_accuracy": accuracy[own],
            "reuse": mean_cosine(self._maps(run, transfer)) if others else float("nan"),
            "weights": self.weights,
            "main_length": own,
            "auxiliary_length": max((member.max_length for member in others), default=None),
            "steps": train.steps,
            "batch_size": train.batch_size,
            "parameters": sum(weight.numel() for weight in run.model().parameters()),
            "main_examples": round(train.steps * train.batch_size / len(run.mixture)),
        }

    def _accuracy(self, run: Run, lengths: tuple[int, int]) -> pd.DataFrame:
        """Accuracy of the main task; all conditions of a seed are tested on the same examples."""
        task = run.mixture[0].task
        asked = sorted(set(lengths))
        key = {
            "weights": run.digest(weights=self.weights),
            "task": task.key,
            "lengths": asked,
            "n": self.n,
            "seed": run.config.seed,
            "version": version("interp-toolkit"),
        }

        def compute() -> pd.DataFrame:
            return evaluate(
                run.model(weights=self.weights), task, lengths=asked, n=self.n, task_head=run.task_head(task.name),
                generator=named_generator(run.config.seed, "test", task.name),
            )  # fmt: skip

        return stored_table(run.path / "results", "isolation-accuracy", key, compute)

    def _maps(self, run: Run, length: int) -> list[HeadEffects]:
        """The effect of every head on each task, the main one first; tasks that read the same prompts get the same."""
        measured = Measured(length, self.n // 2, run.config.seed, weights=self.weights)
        return [run_effects(run, member.task, measured, ablation=MAP)[0] for member in run.mixture]
