"""A study over seeds: does the auxiliary carry the main task, which heads are shared, and does one follow the other?"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from analyses.ablation import HeadAblation
from analyses.effects import HeadEffects
from analyses.reuse.association import association
from analyses.reuse.leads import leads
from analyses.reuse.over_training import METRICS, ReuseOverTraining
from analyses.reuse.overlap import HeadOverlap
from analyses.reuse.run_effects import Measured, run_effects
from analyses.statistics.correction import benjamini_hochberg
from analyses.statistics.seeds import check_paired_seeds
from analyses.statistics.shifts import FEWEST
from analyses.store import stored_table
from analyses.transfer.conditions import check_fixed, finished_runs, group_of
from analyses.transfer.gain import transfer_gains
from analyses.transfer.gap import GeneralizationGap, gap_grid
from tasks import Group, InvalidValueError, same_prompts
from training import Grid, Run, Serial, SweepResult, Watcher, evaluate, named_generator, run_sweep
from training.conditions import conditions_of
from training.config import TrainConfig
from training.keeping import checkpoint_steps
from training.runs import Weights
from training.sweep import Cell, Engine

ABLATION = HeadAblation(kind="mean", metric=METRICS[0])

_SERIAL, _SILENT = Serial(), Watcher()


@dataclass(frozen=True)
class SeedStudyResults:
    """What a study over seeds found.

    Attributes:
        accuracy: Exact match of the main task: a row per condition, seed, weights and length.
        gains: Differences between conditions at each length (`transfer_gains`).
        gaps: The generalization gap (`GeneralizationGap`), mean over seeds with a t interval (`gap_grid`), for each
            condition with other tasks; its normaliser is the number of lengths.
        overlap: Similarity of the maps, over seeds (`HeadOverlap.over_seeds`), with the condition.
        trajectories: Reuse and transfer at every checkpoint (`ReuseOverTraining`), with the condition.
        association: Whether they go together (`association`), with the condition.
        leads: Which comes first (`leads`), with the condition.
    """

    accuracy: pd.DataFrame
    gains: pd.DataFrame
    gaps: pd.DataFrame
    overlap: pd.DataFrame
    trajectories: pd.DataFrame
    association: pd.DataFrame
    leads: pd.DataFrame


@dataclass(frozen=True)
class SeedStudy:
    """Trains a group's main task with its auxiliaries, alone and with the controls on several seeds, and compares.

    Attributes:
        group: The group's name.
        preset: A preset's name, or a TOML file.
        seeds: The seeds, each trained in every condition; 2 to 20.
        checkpoints: How many each run keeps, 8 or more, so that reuse can be followed over training.
        n: Test examples for accuracy; ablation maps use half as many, maps over training at most 128.
        weights: Which weights the maps are of.
        fixed: What else all runs have in common, as a sweep's grid names it: `{"main_length": 5, "train.steps": 600}`.
        overlap: How maps are compared.

    Raises:
        InvalidValueError: Fewer than 2 seeds or more than 20, fewer than 8 checkpoints, n below 4, a group without
            auxiliaries, a key in `fixed` that has a field of its own, an impossible grid, or too few heads.
        UnknownNameError: A group, preset or key that does not exist.
    """

    group: str
    preset: str = "small"
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    checkpoints: int = 40
    n: int = 512
    weights: Weights = "averaged"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    overlap: HeadOverlap = HeadOverlap()

    def __post_init__(self) -> None:
        check_paired_seeds(self.seeds)
        if self.n < 4:
            raise InvalidValueError(f"n = {self.n} examples are too few for a study; use at least 4")
        check_fixed(
            self.fixed, chosen=("group", "preset", "condition", "seed", "measure.checkpoints"), by="a study over seeds"
        )
        if not self.tasks.auxiliaries:
            raise InvalidValueError(
                f"group {self.group!r} has no auxiliary tasks, so nothing can be shared; choose another group"
            )
        for cell in self.grid.cells():
            if cell.config:
                self._check(cell.config)

    @property
    def tasks(self) -> Group:
        """The group, at the lengths and with the marking that are asked for."""
        return group_of(self.group, self.fixed)

    @property
    def grid(self) -> Grid:
        """The sweep: every condition of the group with every seed."""
        common = {
            **self.fixed, "group": self.group, "preset": self.preset, "measure.checkpoints": self.checkpoints,
        }  # fmt: skip
        axes = {"condition": conditions_of(self.tasks), "seed": self.seeds}
        return Grid.read({"name": "study", "fixed": common, "axes": axes})

    def train(self, folder: Path | str, *, engine: Engine = _SERIAL, watcher: Watcher = _SILENT) -> SweepResult:
        """Trains what is not trained yet, as a sweep does."""
        return run_sweep(self.grid, folder, engine=engine, watcher=watcher)

    def measure(
        self, result: SweepResult, *, on_run: Callable[[int, int], object] = lambda *_: None
    ) -> SeedStudyResults:
        """Measures all runs, each measurement kept with its run: asked again it takes seconds and no model.

        Args:
            result: What `train` gave.
            on_run: Called with how much is measured, and how much there is.

        Raises:
            InvalidValueError: A run failed.
        """
        runs = finished_runs(result)
        with_others = [(condition, run) for condition, run in runs if len(run.mixture) > 1]
        steps, done = sum(len(run.steps) for _, run in with_others) + 2 * len(runs), 0

        def tell() -> None:
            nonlocal done
            done += 1
            on_run(done, steps)

        accuracy: list[pd.DataFrame] = []
        trajectories: list[pd.DataFrame] = []
        gaps: list[dict[str, object]] = []
        for cell, (condition, run) in zip(result.cells, runs, strict=True):
            accuracy.append(self._accuracy(run, cell).assign(condition=condition, seed=run.config.seed))
            tell()
            if len(run.mixture) > 1:
                gaps.append(
                    {"condition": condition, **GeneralizationGap(n=min(self.n, 256), weights=self.weights)(run)}
                )
                reuse = ReuseOverTraining(n=min(128, self.n), k=self.overlap.k, weights=self.weights)
                trajectories.append(reuse(run, on_step=lambda *_: tell()).assign(condition=condition))
            tell()
        table, path = pd.concat(accuracy, ignore_index=True), pd.concat(trajectories, ignore_index=True)
        generator = named_generator(self.seeds[0], "association")
        return SeedStudyResults(
            accuracy=table,
            gains=transfer_gains(table),
            gaps=by_condition(pd.DataFrame(gaps), gap_grid).assign(normaliser="lengths"),
            overlap=self._overlap(with_others),
            trajectories=path,
            association=by_condition(path, lambda part: association(part, generator=generator)),
            leads=by_condition(path, leads),
        )

    @property
    def lengths(self) -> list[int]:
        """Where accuracy is measured: every length that all tasks can make, up to a quarter beyond the longest."""
        group = self.tasks
        members = (group.main, *group.auxiliaries, *group.controls)
        longest = min(max(member.max_length for member in members) * 5 // 4, *(one.task.max_length for one in members))
        return list(range(max(member.task.min_length for member in members), longest + 1))

    def _check(self, config: TrainConfig) -> None:
        """Raises InvalidValueError if a run of that configuration could not be measured."""
        kept = len(checkpoint_steps(config.train.steps, config.measure))
        if kept < FEWEST:
            raise InvalidValueError(
                f"{kept} checkpoints are too few to follow reuse over training; use {FEWEST} or more, and as many steps"
            )
        heads = config.model.n_layers * config.model.n_heads
        if heads < self.overlap.k:
            raise InvalidValueError(
                f"the study compares the top {self.overlap.k} heads, but the preset's model has {heads}; use more "
                "layers or heads"
            )

    def _accuracy(self, run: Run, cell: Cell) -> pd.DataFrame:
        """The main task by length, raw and averaged; all conditions of a seed are tested on the same examples."""
        task = run.mixture[0].task
        tables = []
        for weights in dict.fromkeys(("raw", self.weights)):
            key = {
                "weights": run.digest(weights=weights), "task": task.key, "lengths": self.lengths, "n": self.n,
                "seed": run.config.seed,
            }  # fmt: skip

            def compute(weights: Weights = weights) -> pd.DataFrame:
                return evaluate(
                    run.model(weights=weights), task, lengths=self.lengths, n=self.n,
                    task_head=run.task_head(task.name), generator=named_generator(run.config.seed, "test", task.name),
                )  # fmt: skip

            tables.append(stored_table(run.path / "results", "study-accuracy", key, compute).assign(weights=weights))
        return pd.concat(tables, ignore_index=True).assign(main=task.name, main_length=cell.lengths[0])

    def _overlap(self, runs: list[tuple[str, Run]]) -> pd.DataFrame:
        """Main task against each other task, over seeds, in each metric."""
        tables: list[pd.DataFrame] = []
        for condition in dict.fromkeys(condition for condition, _ in runs):
            chosen = [run for of, run in runs if of == condition]
            for other in [member.task.name for member in chosen[0].mixture[1:]]:
                pairs = [self._pair(run, other) for run in chosen]
                comparison = self._comparison(chosen[0], other)
                for place, metric in enumerate(METRICS):
                    maps: list[tuple[HeadEffects, ...]] = [tuple(effects[place] for effects in pair) for pair in pairs]
                    generator = named_generator(self.seeds[0], "overlap", other, metric)
                    tables.append(comparison.over_seeds(maps, generator=generator).assign(condition=condition))
        table = pd.concat(tables, ignore_index=True)
        return benjamini_hochberg(table, within=["metric", "measure", "null"])

    def _pair(self, run: Run, other: str) -> list[list[HeadEffects]]:
        main = run.mixture[0].task
        measured = Measured(self.transfer_length, self.n // 2, run.config.seed, weights=self.weights)
        return [
            run_effects(run, task, measured, ablation=ABLATION, also=METRICS[1:]) for task in (main, run.task(other))
        ]

    def _comparison(self, run: Run, other: str) -> HeadOverlap:
        matched = same_prompts(run.mixture[0].task, run.task(other), length=self.transfer_length)
        return dataclasses.replace(self.overlap, resample="together" if matched else "separately")

    @property
    def transfer_length(self) -> int:
        """Halfway from the main task's longest to the auxiliaries' longest."""
        return self.grid.cells()[0].lengths[1]


def by_condition(table: pd.DataFrame, compute: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """What is computed of each condition's part of a table, with the condition."""
    parts = [compute(part).assign(condition=name) for name, part in table.groupby("condition", sort=False)]
    return pd.concat(parts, ignore_index=True)
