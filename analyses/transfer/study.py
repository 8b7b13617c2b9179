"""A study: main task with its auxiliaries, alone, and with a control; did it transfer, and which heads are shared?"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from analyses.ablation import HeadAblation
from analyses.effects import HeadEffects
from analyses.reuse.overlap import HeadOverlap
from analyses.reuse.shared_heads import attention_example, top_shared_heads
from analyses.store import stored_table
from analyses.transfer.study_record import StudyRecord, read_record
from analyses.transfer.study_results import AttentionExample, StudyResults
from tasks import Group, InvalidValueError, Member, Task, get_group, same_prompts
from training import Preset, Progress, Run, evaluate, load_run, named_generator
from training.conditions import (
    Condition,
    condition_config,
    conditions_of,
    marked_lengths,
    members_of,
    shortest_length,
    transfer_length,
)
from training.config import TrainConfig
from training.files import read_json, write_json
from training.fits import refuse_too_long
from training.parallel import train_many
from training.run_config import FORMAT
from training.runs import STUDY, Weights

WEIGHTS: tuple[Weights, ...] = ("raw", "averaged")
METRICS = ("accuracy", "nll")
ABLATION = HeadAblation(kind="mean", metric=METRICS[0])

_MATCHED = HeadOverlap(resample="together")  # for tasks that read the same prompts; else examples are drawn apart


@dataclass(frozen=True)
class Study:
    """Trains the three models of a group and measures transfer and sharing of heads.

    Attributes:
        group: The tasks.
        preset: Model shape, optimisation and measurement.
        seed: Seeds every stream of random numbers.
        n: Test examples per length for accuracy; the ablation maps use half as many.
        shared: How many shared heads' attention patterns are shown.
        overlap: How the maps are compared.
    """

    group: Group
    preset: Preset
    seed: int = 0
    n: int = 1024
    shared: int = 3
    overlap: HeadOverlap = _MATCHED

    def __post_init__(self) -> None:
        if self.n < 4:
            raise InvalidValueError(f"n = {self.n} examples are too few for a study; use at least 4")
        model = self.configs["auxiliary"].model
        for task in self._tasks:
            refuse_too_long(model, task, self.lengths)
        if model.n_layers * model.n_heads < self.overlap.k:
            raise InvalidValueError(
                f"the study compares the top {self.overlap.k} heads, but the preset's model has "
                f"{model.n_layers * model.n_heads}; use more layers or heads"
            )

    @property
    def transfer_length(self) -> int:
        """The length that the headline uses: halfway from the main task's longest to the auxiliaries' longest."""
        return transfer_length(self.group)

    @property
    def lengths(self) -> list[int]:
        """The lengths at which accuracy is measured: up to a quarter beyond the auxiliaries' longest."""
        longest = min(math.ceil(1.25 * self.group.auxiliary_length), *(task.max_length for task in self._tasks))
        return sorted({*range(shortest_length(self.group), longest + 1, max(1, longest // 12)), *self.marked_lengths})

    @property
    def marked_lengths(self) -> set[int]:
        """The lengths that results speak of: the main task's longest, the transfer length, the auxiliaries' longest."""
        return marked_lengths(self.group)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions that the group has: no `control` without control tasks."""
        return conditions_of(self.group)

    def members(self, condition: Condition) -> tuple[Member, ...]:
        """The tasks that the model of a condition is trained on."""
        return members_of(self.group, condition)

    @cached_property
    def configs(self) -> dict[str, TrainConfig]:
        """The training configuration of each condition: the same but for the tasks."""
        return {
            condition: condition_config(self.group, self.preset, condition, seed=self.seed)
            for condition in self.conditions
        }

    @property
    def record(self) -> StudyRecord:
        """What makes the study again (`open_study`)."""
        comparison = dataclasses.asdict(self.overlap)
        return StudyRecord(
            format=FORMAT,
            group=self.group.name,
            main_length=self.group.main.max_length,
            auxiliary_length=self.group.auxiliary_length,
            marking=self.group.marking,
            preset=self.preset.name,
            sections=self.preset.sections,  # pyright: ignore[reportArgumentType]  (checked by the record)
            seed=self.seed,
            n=self.n,
            shared=self.shared,
            **comparison,
        )

    def train(
        self,
        folder: Path,
        *,
        workers: int,
        command: str = "",
        on_progress: Callable[[str, Progress], object] = lambda *_: None,
    ) -> dict[str, Run]:
        """Trains the three models into `folder/CONDITION`, going on where an earlier call stopped.

        Args:
            folder: The study's folder.
            workers: How many models at a time.
            command: The command that makes the study, kept for `interp report`.
            on_progress: Called with the condition and where its training stands.

        Raises:
            InvalidValueError: The folder holds another study, or a run.
        """
        jobs = {condition: (config, folder / condition) for condition, config in self.configs.items()}
        if (folder / "config.json").exists():
            raise InvalidValueError(f"{str(folder)!r} holds a run, not a study; choose another name")
        if (folder / STUDY).exists():
            other = self.record.differs(read_record(folder))
            if other:
                raise InvalidValueError(
                    f"{str(folder)!r} holds another study ({other}); choose another name, or remove that folder"
                )
        if not (folder / STUDY).exists() or self.record.compares(read_record(folder)):
            record = self.record.model_copy(update={"command": command})
            write_json(folder / STUDY, record.model_dump(mode="json"))
        try:
            train_many(jobs, workers=workers, on_progress=on_progress)
        finally:
            if [path.name for path in folder.iterdir()] == [STUDY]:  # it failed before anything was kept
                (folder / STUDY).unlink()
                folder.rmdir()
        return {condition: load_run(folder / condition) for condition in self.conditions}

    def measure(
        self, folder: Path, runs: dict[str, Run], *, command: str, on_stage: Callable[[str], object] = lambda _: None
    ) -> StudyResults:
        """Measures what the three models do; what was measured before is read from `folder/results`."""
        results = folder / "results"
        on_stage("accuracy by length")
        accuracy = pd.concat([self._accuracy(results, runs[c], c) for c in self.conditions], ignore_index=True)
        training = pd.concat([run.metrics.assign(condition=c) for c, run in runs.items()], ignore_index=True)
        on_stage("ablating every head")
        run = runs["auxiliary"]
        effects = {member.task.name: self._effects(results, run, member.task.name) for member in run.mixture}
        on_stage("comparing the maps")
        overlap = pd.concat([self._overlap(results, run, effects, name) for name in list(effects)[1:]])
        return StudyResults(
            name=f"{self.group.name}, preset {self.preset.name}, seed {self.seed}",
            command=command,
            main=self.group.main.task.name,
            auxiliaries=tuple(member.task.name for member in self.group.auxiliaries),
            controls=tuple(member.task.name for member in self.group.controls),
            main_length=self.group.main.max_length,
            auxiliary_length=self.group.auxiliary_length,
            transfer_length=self.transfer_length,
            settings=self._settings(run),
            accuracy=accuracy,
            training=training[["condition", "weights", "step", "task", "length", "n", "accuracy", "stderr"]],
            ablation=pd.concat([part.table() for parts in effects.values() for part in parts], ignore_index=True),
            overlap=overlap.reset_index(drop=True),
            attention=self._attention(run, effects),
        )

    @property
    def _tasks(self) -> list[Task]:
        return [member.task for member in (self.group.main, *self.group.auxiliaries, *self.group.controls)]

    def _key(self, run: Run, weights: Weights = "averaged") -> dict[str, object]:
        tasks = [member.task.key for member in run.mixture]
        return {
            "weights": run.digest(weights=weights), "tasks": tasks, "seed": self.seed, "n": self.n,
            "version": version("interp-toolkit"),
        }  # fmt: skip

    def _accuracy(self, results: Path, run: Run, condition: str) -> pd.DataFrame:
        def compute(weights: Weights) -> pd.DataFrame:
            model = run.model(weights=weights)
            tables = [
                evaluate(
                    model, member.task, lengths=self.lengths, n=self.n, task_head=run.task_head(member.task.name),
                    generator=named_generator(self.seed, "test", member.task.name),
                )
                for member in run.mixture
            ]  # fmt: skip
            return pd.concat(tables, ignore_index=True).assign(condition=condition, weights=weights)

        tables = []
        for weights in WEIGHTS:
            key = {**self._key(run, weights), "lengths": self.lengths}
            tables.append(stored_table(results, f"accuracy-{condition}-{weights}", key, lambda w=weights: compute(w)))
        return pd.concat(tables, ignore_index=True)

    @property
    def _ablation_key(self) -> dict[str, object]:
        return {"ablation": ABLATION, "metrics": METRICS, "length": self.transfer_length}

    def _effects(self, results: Path, run: Run, task: str) -> list[HeadEffects]:
        """The effect of every head on a task, in each metric; the prompts of all tasks are the same words."""

        def compute() -> pd.DataFrame:
            found = ABLATION.effects(
                run.model(), run.task(task), length=self.transfer_length, n=self.n // 2, task_head=run.task_head(task),
                generator=named_generator(self.seed, "ablation"), also=METRICS[1:],
            )  # fmt: skip
            return pd.concat([effects.examples() for effects in found], ignore_index=True)

        key = {**self._key(run), "task": task, **self._ablation_key}
        table = stored_table(results, f"ablation-{task}", key, compute)
        return [HeadEffects.from_examples(table[table["metric"] == metric]) for metric in METRICS]

    def _overlap(self, results: Path, run: Run, effects: dict[str, list[HeadEffects]], other: str) -> pd.DataFrame:
        main = self.group.main.task.name
        comparison = self.overlap
        if not same_prompts(run.task(main), run.task(other), length=self.transfer_length):
            comparison = dataclasses.replace(comparison, resample="separately")

        def compute() -> pd.DataFrame:
            tables = [
                comparison(first, second, generator=named_generator(self.seed, "overlap", first.metric.name))
                for first, second in zip(effects[main], effects[other], strict=True)
            ]
            return pd.concat(tables, ignore_index=True)

        about = {"first": main, "second": other, "overlap": comparison, **self._ablation_key}
        return stored_table(results, f"overlap-{main}-{other}", {**self._key(run), **about}, compute)

    def _attention(self, run: Run, effects: dict[str, list[HeadEffects]]) -> tuple[AttentionExample, ...]:
        """The top shared heads' patterns on a prompt of each task, at the main task's longest length.

        It is one prompt where both tasks read the same ones.
        """
        names = list(effects)[:2]
        if len(names) < 2:
            return ()
        by_nll = [effects[name][METRICS.index("nll")] for name in names]
        model, length = run.model(), self.group.main.max_length
        batches = {
            name: run.task(name).sample(
                1, length=length, generator=named_generator(self.seed, "attention"), stream="test"
            )
            for name in names
        }
        return tuple(
            attention_example(model, run.task(name), batches[name], head)
            for head in top_shared_heads(*by_nll, k=self.shared)
            for name in names
        )

    def _settings(self, run: Run) -> dict[str, object]:
        environment = read_json(run.path / "environment.json")
        sections = {name: getattr(run.config, name).model_dump(mode="json") for name in ("model", "train")}
        shape = {f"{name}.{key}": value for name, values in sections.items() for key, value in values.items()}
        measured = {"test examples per length": self.n, "examples per ablation map": self.n // 2, "seed": self.seed}
        versions = {name: environment.get(name, "unknown") for name in ("python", "torch", "transformer-lens")}
        seconds = {"training seconds (auxiliary)": environment.get("seconds", "unknown")}
        return {**shape, **measured, **seconds, "interp-toolkit": version("interp-toolkit"), **versions}


def open_study(folder: Path) -> Study:
    """The study whose folder this is.

    Raises:
        BrokenRunError: The folder holds no study, a damaged one, or one written by a newer version.
        UnknownNameError: Its group no longer exists.
    """
    record = read_record(folder)
    group = get_group(record.group).with_marking(record.marking)
    group = group.with_lengths(main=record.main_length, auxiliary=record.auxiliary_length)
    comparison = HeadOverlap(
        k=record.k, permutations=record.permutations, bootstraps=record.bootstraps, resample=record.resample,
        persistence=record.persistence,
    )  # fmt: skip
    preset = Preset(record.preset, {str(name): values for name, values in record.sections.items()})
    return Study(group, preset, seed=record.seed, n=record.n, shared=record.shared, overlap=comparison)
