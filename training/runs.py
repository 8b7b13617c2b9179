"""Run folders: where they are, what is in them, and how to read them back."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch

from tasks import BrokenRunError, InterpError, InvalidValueError, Member, Task, Vocabulary, get_task
from tasks.errors import unknown_name
from tasks.own import is_file
from training.config import MemberConfig, TrainConfig
from training.files import AGAIN, read_json, read_table, read_tensors
from training.model import HookedTransformer
from training.randomness import named_generator

FORMAT = 1
"""The layout of a run folder; a folder with a higher number was written by a newer version."""

ROOT = Path("runs")
"""Where runs are kept unless told otherwise."""

PARTIAL = ".partial"
"""Ending of the name of a run folder that is still being trained."""

STUDY = "study.json"
"""The file that makes a folder a study: it holds one run per condition."""

Weights = Literal["averaged", "raw"]


def mixture_of(config: TrainConfig) -> tuple[Member, ...]:
    """The tasks of a configuration, bound to its vocabulary."""
    vocabulary = Vocabulary(config.vocabulary)
    return tuple(member.member(vocabulary) for member in config.mixture)


def checkpoint_path(folder: Path, step: int, weights: Weights) -> Path:
    """Where the weights of a step are."""
    kind = ".averaged" if weights == "averaged" else ""
    return folder / "checkpoints" / f"step-{step:07d}{kind}.safetensors"


@dataclass(frozen=True)
class Run:
    """A finished training run, read from its folder.

    Attributes:
        path: The folder.
        config: What determined the run.
    """

    path: Path
    config: TrainConfig

    @property
    def name(self) -> str:
        """The folder's path below `runs`, or its own name."""
        return _name(self.path)

    @cached_property
    def mixture(self) -> tuple[Member, ...]:
        """The tasks it was trained on, bound to its vocabulary, each with its greatest length."""
        return mixture_of(self.config)

    @property
    def steps(self) -> list[int]:
        """The steps with a checkpoint, ascending; the last is the end of training."""
        return sorted(
            int(path.name[5:].partition(".")[0])
            for path in (self.path / "checkpoints").glob("step-*.averaged.safetensors")
        )

    @property
    def metrics(self) -> pd.DataFrame:
        """What was measured while training: a row for each step, weights, task and length.

        Columns: step, weights (raw or averaged), task, length, n, accuracy, stderr, token_accuracy, nll; and loss
        (training loss since the previous checkpoint, nats per scored token of that task; missing if it was not drawn),
        learning_rate and gradient_norm (before clipping) of the step itself.
        """
        return read_table(self.path / "metrics.parquet")

    def task(self, name: str) -> Task:
        """One of the run's tasks, or any other that its vocabulary can speak.

        Raises:
            UnknownNameError: No task has that name.
            InvalidValueError: The run's vocabulary lacks one of its tokens.
        """
        for member in self.mixture:
            if member.task.name == name:
                return member.task
        vocabulary, plain = Vocabulary(self.config.vocabulary), get_task(name)
        for parameters in ({}, *(member.parameters for member in self.config.mixture)):
            try:
                return get_task(name, **parameters).bind(vocabulary)
            except InvalidValueError:
                continue  # other parameters may suit the task and the vocabulary
        return plain.bind(vocabulary)

    def task_head(self, name: str) -> int:
        """Which unembedding belongs to a task: its place in the mixture, or 0 if all share one."""
        names = [member.task.name for member in self.mixture]
        if self.config.model.task_heads == 1:
            return 0
        if name not in names:
            raise InvalidValueError(
                f"the run has an unembedding for each of {', '.join(names)}, and none for {name!r}; choose one of those"
            )
        return names.index(name)

    def model(self, step: int | None = None, *, weights: Weights = "averaged") -> HookedTransformer:
        """The model at a step, the last one if None.

        Raises:
            InvalidValueError: No checkpoint of that step.
            BrokenRunError: The checkpoint is damaged, or does not fit the configuration.
        """
        path = self._checkpoint(step, weights)
        model = fresh_model(self.config)
        load_weights(model, read_tensors(path), path)
        return model.eval()

    def digest(self, step: int | None = None, *, weights: Weights = "averaged") -> str:
        """A digest of the weights of a step, for keys of results.

        Raises:
            InvalidValueError: No checkpoint of that step.
            BrokenRunError: The checkpoint is missing.
        """
        return hashlib.sha256(self._checkpoint(step, weights).read_bytes()).hexdigest()[:16]

    def _checkpoint(self, step: int | None, weights: Weights) -> Path:
        steps = self.steps
        if not steps:
            raise BrokenRunError(f"run {self.name!r} has no checkpoint; {AGAIN}")
        if step is not None and step not in steps:
            raise InvalidValueError(
                f"run {self.name!r} has no checkpoint of step {step}; it has {', '.join(map(str, steps))}"
            )
        path = checkpoint_path(self.path, steps[-1] if step is None else step, weights)
        if not path.is_file():
            raise BrokenRunError(f"{str(path)!r} is missing: the run is not whole; {AGAIN}")
        return path


def fresh_model(config: TrainConfig) -> HookedTransformer:
    """The untrained model of a configuration; its initial weights depend on the seed alone."""
    generator = named_generator(config.seed, "weights")
    return HookedTransformer(config.model, vocabulary=Vocabulary(config.vocabulary), generator=generator)


def load_weights(model: HookedTransformer, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Puts weights into a model.

    Raises:
        BrokenRunError: Names or shapes differ.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise BrokenRunError(f"{str(path)!r} does not fit its configuration ({detail}); {AGAIN}") from None


def list_runs(root: Path = ROOT) -> list[str]:
    """The names of all finished runs and studies under a folder, newest last."""
    runs = [path.parent for path in root.rglob("config.json")]
    studies = [path.parent for path in root.rglob(STUDY) if (path.parent / "auxiliary" / "config.json").is_file()]
    whole = [path for path in runs + studies if not any(part.endswith(PARTIAL) for part in path.parts)]
    return [_name(path, root) for path in sorted(whole, key=lambda path: (_finished_at(path), path.name))]


def _finished_at(folder: Path) -> int:
    """When a run, or a study's main run, was finished: `environment.json` is written last."""
    run = folder / "auxiliary" if (folder / STUDY).is_file() else folder
    last = run / "environment.json"
    return (last if last.is_file() else run).stat().st_mtime_ns


def load_run(name: str | Path | None = None, *, root: Path = ROOT) -> Run:
    """Reads a run.

    Args:
        name: A folder, or a name under `root`; None is the newest. A study's folder stands for its run `auxiliary`.
        root: Where runs are kept.

    Raises:
        UnknownNameError: No such run.
        BrokenRunError: The run is unfinished, damaged, or written by a newer version.
    """
    folder = _newest(root) if name is None else _named(name, root)
    if (folder / STUDY).is_file():
        folder = folder / "auxiliary"
        if not folder.is_dir():
            raise _unfinished(_name(folder, root))
    return Run(folder, read_config(read_json(folder / "config.json"), folder))


def _newest(root: Path) -> Path:
    names = list_runs(root)
    if not names:
        raise BrokenRunError(f"there is no run under {str(root)!r}; 'interp demo' or 'interp train' makes one")
    top = [run for run in names if (root / run / STUDY).is_file()] or names
    return root / (names[-1] if names[-1].partition("/")[0] not in top else names[-1].partition("/")[0])


def _named(name: str | Path, root: Path) -> Path:
    places = (Path(name), root / name)
    try:
        for folder in places:
            if folder.name.endswith(PARTIAL) and folder.is_dir():
                raise _unfinished(str(name))
            if (folder / "config.json").is_file() or (folder / STUDY).is_file():
                return folder
        for folder in places:
            if folder.name and folder.with_name(folder.name + PARTIAL).is_dir():
                raise _unfinished(str(name))
            if folder.is_dir():
                raise BrokenRunError(f"{str(folder)!r} holds no run: config.json is missing; {_listing(root)}")
    except OSError as error:
        raise BrokenRunError(f"run {str(name)!r} cannot be read: {error.strerror or error}; {_listing(root)}") from None
    raise unknown_name("run", str(name), list_runs(root), listing=_listing(root))


def _unfinished(name: str) -> BrokenRunError:
    return BrokenRunError(f"run {name!r} is not finished; start the command that trains it once more, and it goes on")


def _listing(root: Path) -> str:
    names = list_runs(root)
    shown = ", ".join(names[-5:]) if names else "no run at all; 'interp demo' makes one"
    return f"{str(root)!r} has {shown}"


def _name(path: Path, root: Path = ROOT) -> str:
    inside = path.resolve().is_relative_to(root.resolve())
    return path.resolve().relative_to(root.resolve()).as_posix() if inside else path.as_posix()


def read_config(values: dict[str, Any], folder: Path) -> TrainConfig:
    """The configuration in a run's `config.json`.

    Raises:
        BrokenRunError: It is not that of a run, a newer version wrote it, or a task has changed since.
    """
    where = f"run {_name(folder)!r}"
    if not isinstance(values.get("format"), int) or not all(
        isinstance(values.get(k), dict) for k in ("config", "tasks")
    ):
        raise BrokenRunError(f"{where}: config.json is not that of a run; {AGAIN}")
    if values["format"] > FORMAT:
        raise BrokenRunError(
            f"{where} was written by a newer version (format {values['format']}, this one reads up to {FORMAT}); "
            "upgrade, or train it again"
        )
    try:
        config = TrainConfig.read(values["config"])
    except InterpError as error:
        raise BrokenRunError(f"{where}: config.json is not that of a run ({error}); {AGAIN}") from None
    config = _with_own_tasks(config, folder)
    try:
        mixture = mixture_of(config)
    except InterpError as error:
        own = any(is_file(member.task) for member in config.mixture)
        mend = "start from the folder that holds the task's file, or mend the file" if own else AGAIN
        raise BrokenRunError(f"{where}: its tasks cannot be made ({error}); {mend}") from None
    for member in mixture:
        written = values["tasks"].get(member.task.name)
        if written != member.task.version:
            raise BrokenRunError(
                f"{where} was trained on version {written} of task {member.task.name!r}, which is now version "
                f"{member.task.version} and generates other examples; train it again"
            )
    return config


def _with_own_tasks(config: TrainConfig, folder: Path) -> TrainConfig:
    """The configuration with files of the user's own tasks looked for above the run, if they are not where we are."""

    def found(member: MemberConfig) -> MemberConfig:
        file, _, name = member.task.rpartition(":")
        if not is_file(member.task) or Path(file).is_file():
            return member
        places = (parent / file for parent in folder.resolve().parents)
        there = next((place for place in places if place.is_file()), Path(file))
        return member.model_copy(update={"task": f"{there}:{name}"})

    return config.model_copy(update={"mixture": tuple(found(member) for member in config.mixture)})
