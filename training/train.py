"""The training loop: from a configuration to a run folder, going on where an interrupted run stopped."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from tasks import BrokenRunError, InvalidValueError, Member
from training.config import MeasureConfig, TrainConfig
from training.evaluate import evaluate
from training.files import (
    AGAIN,
    read_table,
    read_tensors,
    write_table,
    write_tensors,
)
from training.finding import load_run
from training.folder import STATE, alone, close_folder, open_folder, refuse_other
from training.loop import Training
from training.optimizer import learning_rate
from training.randomness import named_generator
from training.run_config import mixture_of
from training.runs import PARTIAL, Run, checkpoint_path


@dataclass(frozen=True)
class Progress:
    """Where training stands.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        loss: Nats per scored token in the last batch.
    """

    step: int
    steps: int
    loss: float


def train(config: TrainConfig, path: Path | str, *, on_step: Callable[[Progress], object] = lambda _: None) -> Run:
    """Trains a model, or goes on with an interrupted run, or finds it finished.

    While it trains, everything lives in `PATH.partial`, which is renamed at the end: a run that can be loaded is whole.
    The loss is the mean over the batch's scored tokens of the negative log likelihood (nats). Training examples of a
    step depend on the seed and the step only, so a run that was interrupted and continued equals one that was not.

    Args:
        config: What to train.
        path: The run's folder.
        on_step: Called after every step.

    Raises:
        InvalidValueError: The folder holds a run with another configuration, or cannot be written; or the loss is no
            longer a number.
        BrokenRunError: What is left of the interrupted run is damaged, or another process is training it.
    """
    path = Path(path)
    for member in mixture_of(config):
        for length in config.measure.lengths:
            member.task.check_length(length)
    if not _is_there(path):
        partial = path.with_name(path.name + PARTIAL)
        with alone(partial):
            if not path.is_dir():  # another process may have finished it just now
                _train_into(partial, path, config, on_step)
    run = load_run(path)
    refuse_other(run.config, config, path)
    return run


def _is_there(path: Path) -> bool:
    """Whether the run's folder exists; raises InvalidValueError where no run can be."""
    if path.name.endswith(PARTIAL):
        raise InvalidValueError(f"{str(path)!r} ends in {PARTIAL!r}, which marks unfinished runs; choose another name")
    try:
        if path.exists() and not path.is_dir():
            raise InvalidValueError(f"{str(path)!r} is a file, where the run's folder should be; choose another name")
        return path.is_dir()
    except OSError as error:
        raise InvalidValueError(
            f"cannot write {str(path)!r}: {error.strerror or error}; choose another place"
        ) from None


def _train_into(partial: Path, path: Path, config: TrainConfig, on_step: Callable[[Progress], object]) -> None:
    started = time.perf_counter()
    try:
        open_folder(partial, config)
        _Kept(config, partial).go(on_step)
        close_folder(partial, path, seconds=time.perf_counter() - started)
    finally:
        if partial.is_dir() and not (partial / STATE).exists():
            shutil.rmtree(partial)  # it holds nothing that a second call could go on from


class _Kept:
    """Training that is kept in a folder: checkpoints, metrics, and the state that a continued run goes by."""

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.training = Training(config)
        self.metrics = pd.DataFrame()
        self.losses = torch.zeros(len(config.mixture), 2)  # since the last checkpoint: summed loss, scored tokens
        if (folder / STATE).exists():
            self._resume()

    def go(self, on_step: Callable[[Progress], object]) -> None:
        steps = self.config.train.steps
        kept = _kept_steps(steps, self.config.measure)
        while self.training.done < steps:
            losses, norm = self.training.step(self.training.done)
            done = self.training.done
            self.losses += losses
            total = losses[:, 0].sum() / losses[:, 1].sum()
            if not torch.isfinite(total) or not torch.isfinite(norm):
                raise self._diverged(max((step for step in kept if step < done), default=None))
            if done in kept:
                self._keep(norm)
            on_step(Progress(done, steps, float(total)))

    def _diverged(self, last: int | None) -> InvalidValueError:
        settings = self.config.train
        kept = "" if last is None else f", and choose another name: step {last} is kept in {str(self.folder)!r}"
        return InvalidValueError(
            f"the loss is no longer a number at step {self.training.done}; lower train.learning_rate "
            f"({settings.learning_rate}) or train.clip ({settings.clip}){kept}"
        )

    def _keep(self, norm: Tensor) -> None:
        """Writes the checkpoint, then the metrics, then the state, which is what a continued run goes by."""
        training = self.training
        raw, averaged = training.weights(), training.averaged.weights
        write_tensors(checkpoint_path(self.folder, training.done, "raw"), raw)
        write_tensors(checkpoint_path(self.folder, training.done, "averaged"), averaged)
        table = self._measure({"raw": raw, "averaged": averaged}).assign(gradient_norm=float(norm))
        self.metrics = pd.concat([self.metrics, table], ignore_index=True)
        write_table(self.folder / "metrics.parquet", self.metrics)
        write_tensors(self.folder / STATE, training.state())
        self.losses.zero_()

    def _measure(self, weights: dict[str, dict[str, Tensor]]) -> pd.DataFrame:
        tables: list[pd.DataFrame] = []
        for kind, values in weights.items():
            self.training.load(values)
            for place, member in enumerate(self.training.mixture):
                table = self._accuracy(member, place)
                table["loss"] = float(self.losses[place, 0] / self.losses[place, 1])  # NaN if it was never drawn
                table.insert(0, "weights", kind)
                tables.append(table)
        self.training.load(weights["raw"])
        table = pd.concat(tables, ignore_index=True)
        table.insert(0, "step", self.training.done)
        return table.assign(learning_rate=learning_rate(self.training.done - 1, self.config.train))

    def _accuracy(self, member: Member, place: int) -> pd.DataFrame:
        measure = self.config.measure
        lengths = measure.lengths or sorted({other.max_length for other in self.training.mixture})
        head = place if self.config.model.task_heads > 1 else 0
        generator = named_generator(self.config.seed, "measure", member.task.name)
        model = self.training.model
        return evaluate(model, member.task, lengths=lengths, n=measure.n, generator=generator, task_head=head)

    def _resume(self) -> None:
        path = self.folder / STATE
        try:
            self.training.restore(read_tensors(path), path)
        except KeyError as error:
            raise BrokenRunError(f"{str(path)!r} lacks {error}; {AGAIN}") from None
        table = read_table(self.folder / "metrics.parquet")
        self.metrics = table[table["step"] <= self.training.done].reset_index(drop=True)


def _kept_steps(steps: int, measure: MeasureConfig) -> set[int]:
    """The steps with a checkpoint: spaced as asked, or those chosen; always the last one."""
    if isinstance(measure.checkpoints, tuple):
        return {*measure.checkpoints, steps}
    count = min(measure.checkpoints, steps)
    shares = [(place + 1) / count for place in range(count)]
    if measure.spacing == "log":
        return {round(steps**share) for share in shares}
    return {round(steps * share) for share in shares}
