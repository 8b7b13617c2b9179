"""A run: what is in its folder, and its model at any step."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch

from tasks import BrokenRunError, InvalidValueError, Member, Task, Vocabulary, get_task
from tasks.errors import unknown_name
from training.config import OptimizerConfig, TrainConfig
from training.files import AGAIN, read_table, read_tensors
from training.model import HookedTransformer
from training.pretrained.weights import empty_model
from training.randomness import named_generator
from training.run_config import mixture_of, run_name
from training.start import start_model

PARTIAL = ".partial"
"""Ending of the name of a run folder that is still being trained."""

STUDY = "study.json"
"""The file that makes a folder a study: it holds one run per condition."""

METRICS, TIMING = "metrics.parquet", "timing.parquet"
"""Tables in a run's folder, there and whole while it is being trained too."""

Weights = str
"""A kind of weights (`weight_kinds`)."""


def weight_kinds(settings: OptimizerConfig) -> tuple[Weights, ...]:
    """The kinds of weights that a run keeps: `raw`, `averaged`, and `averaged-DECAY` for each further average."""
    return ("raw", "averaged", *(f"averaged-{decay:g}" for decay in settings.averages[1:]))


def checkpoint_path(folder: Path, step: int, weights: Weights) -> Path:
    """Where the weights of a step are."""
    kind = "" if weights == "raw" else f".{weights}"
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
        return run_name(self.path)

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

        Columns: step, weights (`weight_kinds`), task, length, n, accuracy, stderr, token_accuracy, nll; and loss
        (training loss since the previous checkpoint, nats per scored token of that task; missing if it was not drawn),
        learning_rate and gradient_norm (before clipping) of the step itself.
        """
        return read_table(self.path / METRICS)

    @property
    def timing(self) -> pd.DataFrame:
        """How fast it was trained: a row for each checkpoint.

        Columns: step; seconds (of training up to there, over all its sessions, measuring and writing included); and of
        the steps since the previous checkpoint examples_per_second, tokens_per_second (read by the model) and
        scored_tokens_per_second, without measuring and writing; peak_memory_mib (the greatest that the
        process held so far). Unlike `metrics`, these differ between equal runs.
        """
        return read_table(self.path / TIMING)

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
        """The model at a step, the last one if None, with the weights of a kind (`weight_kinds`), in float32.

        Raises:
            InvalidValueError: No checkpoint of that step.
            UnknownNameError: The run keeps no weights of that name.
            BrokenRunError: The checkpoint is damaged, or does not fit the configuration.
        """
        path = self._checkpoint(step, weights)
        model = empty_model(self.config.model, Vocabulary(self.config.vocabulary)).to_empty(device="cpu")
        for buffer in model.buffers():
            buffer.zero_()  # biases that the model has not
        load_weights(model, read_tensors(path), path)
        return model.eval()

    def digest(self, step: int | None = None, *, weights: Weights = "averaged") -> str:
        """A digest of the weights of a step, for keys of results.

        Raises:
            InvalidValueError: No checkpoint of that step.
            UnknownNameError: The run keeps no weights of that name.
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
        kinds = weight_kinds(self.config.train)
        if weights not in kinds:
            raise unknown_name("weights", weights, kinds, listing=f"run {self.name!r} has {', '.join(kinds)}")
        path = checkpoint_path(self.path, steps[-1] if step is None else step, weights)
        if not path.is_file():
            raise BrokenRunError(f"{str(path)!r} is missing: the run is not whole; {AGAIN}")
        return path


def fresh_model(config: TrainConfig) -> HookedTransformer:
    """The untrained model of a configuration; its initial weights depend on the seed, and on the checkpoint if any.

    Raises:
        InterpError: The checkpoint to start from is gone, damaged or changed (`start.start_model`).
    """
    if config.start is not None:
        return start_model(config)
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
