"""The training loop: from a configuration to a run folder, going on where an interrupted run stopped."""

import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from filelock import FileLock, Timeout
from torch import Tensor

from tasks import BrokenRunError, InvalidValueError, Member
from training.config import TrainConfig
from training.evaluate import evaluate
from training.files import (
    AGAIN,
    read_json,
    read_table,
    read_tensors,
    remove_parts,
    write_json,
    write_table,
    write_tensors,
)
from training.mixture import Bucket, draw_buckets
from training.model import HookedTransformer
from training.optimizer import AveragedWeights, learning_rate, make_optimizer
from training.randomness import named_generator
from training.runs import (
    FORMAT,
    PARTIAL,
    Run,
    checkpoint_path,
    fresh_model,
    load_run,
    load_weights,
    mixture_of,
    read_config,
)

STATE = "state.safetensors"
"""In an unfinished run's folder, the file that training goes on from."""


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
        with _alone(partial):
            if not path.is_dir():  # another process may have finished it just now
                _train_into(partial, path, config, on_step)
    run = load_run(path)
    _refuse_other(run.config, config, path)
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
        _open(partial, config)
        _Training(config, partial).go(on_step)
        _close(partial, path, seconds=time.perf_counter() - started)
    finally:
        if partial.is_dir() and not (partial / STATE).exists():
            shutil.rmtree(partial)  # it holds nothing that a second call could go on from


class _Training:
    """The state of a run in progress: weights, optimiser, averaged weights, metrics, and the steps done."""

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.mixture = mixture_of(config)
        self.model = fresh_model(config)
        self.optimizer = make_optimizer(self.model, config.optimizer)
        self.averaged = AveragedWeights.of(self.model, decay=config.optimizer.average)
        self.metrics = pd.DataFrame()
        self.losses = torch.zeros(len(self.mixture), 2)  # since the last checkpoint: summed loss, scored tokens
        self.done = 0
        if (folder / STATE).exists():
            self._resume()

    def go(self, on_step: Callable[[Progress], object]) -> None:
        optimizer = self.config.optimizer
        kept = _kept_steps(optimizer.steps, self.config.measure.checkpoints)
        while self.done < optimizer.steps:
            losses, norm = self._step(self.done)
            self.done += 1
            self.losses += losses
            total = losses[:, 0].sum() / losses[:, 1].sum()
            if not torch.isfinite(total) or not torch.isfinite(norm):
                raise InvalidValueError(
                    f"the loss is no longer a number at step {self.done}; lower optimizer.learning_rate "
                    f"({optimizer.learning_rate}) or optimizer.clip ({optimizer.clip})"
                    + "".join(
                        f", and choose another name: step {step} is kept in {str(self.folder)!r}"
                        for step in sorted(step for step in kept if step < self.done)[-1:]
                    )
                )
            if self.done in kept:
                self._keep(norm)
            on_step(Progress(self.done, optimizer.steps, float(total)))

    def _step(self, step: int) -> tuple[Tensor, Tensor]:
        """One optimiser step: each task's summed loss and scored tokens [task, 2], and the gradient's norm."""
        optimizer = self.config.optimizer
        generator = named_generator(self.config.seed, "train", step)
        buckets = draw_buckets(
            self.mixture,
            n=optimizer.batch_size,
            buckets=optimizer.buckets,
            generator=generator,
            draw=optimizer.draw,
        )
        scored = sum(int(bucket.batch.scored.sum()) for bucket in buckets)
        losses = torch.zeros(len(self.mixture), 2)
        for bucket in buckets:
            nll, task = token_losses(self.model, bucket)
            (nll.sum() / scored).backward()
            losses.index_add_(0, task, torch.stack((nll.detach(), torch.ones_like(nll)), dim=1))
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), optimizer.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, optimizer)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.averaged.update(step)
        return losses, norm

    def _keep(self, norm: Tensor) -> None:
        """Writes the checkpoint, then the metrics, then the state, which is what a continued run goes by."""
        raw = {name: weight.detach().clone() for name, weight in self.model.named_parameters()}
        write_tensors(checkpoint_path(self.folder, self.done, "raw"), raw)
        write_tensors(checkpoint_path(self.folder, self.done, "averaged"), self.averaged.weights)
        self.metrics = pd.concat([self.metrics, self._measure(raw, norm)], ignore_index=True)
        write_table(self.folder / "metrics.parquet", self.metrics)
        moments = {
            f"{moment}.{name}": self.optimizer.state[parameter][moment]
            for name, parameter in self.model.named_parameters()
            for moment in ("exp_avg", "exp_avg_sq")
        }
        averaged = {f"averaged.{name}": weight for name, weight in self.averaged.weights.items()}
        weights = {f"raw.{name}": weight for name, weight in raw.items()}
        state = {"step": torch.tensor(self.done), **weights, **averaged, **moments}
        write_tensors(self.folder / STATE, state)
        self.losses.zero_()

    def _measure(self, raw: dict[str, Tensor], norm: Tensor) -> pd.DataFrame:
        tables: list[pd.DataFrame] = []
        for weights, values in (("raw", raw), ("averaged", self.averaged.weights)):
            self._load(values)
            for place, member in enumerate(self.mixture):
                table = self._accuracy(member, place)
                table["loss"] = float(self.losses[place, 0] / self.losses[place, 1])  # NaN if it was never drawn
                table.insert(0, "weights", weights)
                tables.append(table)
        self._load(raw)
        table = pd.concat(tables, ignore_index=True)
        table.insert(0, "step", self.done)
        rate = learning_rate(self.done - 1, self.config.optimizer)
        return table.assign(learning_rate=rate, gradient_norm=float(norm))

    def _accuracy(self, member: Member, place: int) -> pd.DataFrame:
        measure = self.config.measure
        lengths = measure.lengths or sorted({other.max_length for other in self.mixture})
        head = place if self.config.model.task_heads > 1 else 0
        generator = named_generator(self.config.seed, "measure", member.task.name)
        return evaluate(self.model, member.task, lengths=lengths, n=measure.n, generator=generator, task_head=head)

    @torch.no_grad()
    def _load(self, weights: dict[str, Tensor]) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.copy_(weights[name])

    def _resume(self) -> None:
        path = self.folder / STATE
        state = read_tensors(path)
        try:
            self._restore(state, path)
        except KeyError as error:
            raise BrokenRunError(f"{str(path)!r} lacks {error}; {AGAIN}") from None
        table = read_table(self.folder / "metrics.parquet")
        self.metrics = table[table["step"] <= self.done].reset_index(drop=True)

    @torch.no_grad()
    def _restore(self, state: dict[str, Tensor], path: Path) -> None:
        self.done = int(state["step"])
        load_weights(self.model, _under("raw.", state), path)
        for name, weight in _under("averaged.", state).items():
            self.averaged.weights[name].copy_(weight)
        for name, parameter in self.model.named_parameters():
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(self.done)),
                "exp_avg": state[f"exp_avg.{name}"],
                "exp_avg_sq": state[f"exp_avg_sq.{name}"],
            }


def token_losses(model: HookedTransformer, bucket: Bucket) -> tuple[Tensor, Tensor]:
    """The negative log likelihood of every scored token [scored], and its task [scored]."""
    batch = bucket.batch
    hidden = model.scored_residual(batch.inputs, batch.predicting)
    task = bucket.task.repeat_interleave(batch.scored.sum(dim=1))
    if model.config.task_heads == 1:
        return F.cross_entropy(model.logits(hidden), batch.targets, reduction="none"), task
    order = task.argsort(stable=True)
    targets, counts = batch.targets[order], task.bincount(minlength=model.config.task_heads).tolist()
    parts = [
        F.cross_entropy(model.logits(part, task=place), wanted, reduction="none")
        for place, (part, wanted) in enumerate(zip(hidden[order].split(counts), targets.split(counts), strict=True))
    ]
    return torch.cat(parts), task[order]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _kept_steps(steps: int, checkpoints: int | tuple[int, ...]) -> set[int]:
    """The steps with a checkpoint: equally spaced, or those chosen; always the last one."""
    if isinstance(checkpoints, tuple):
        return {*checkpoints, steps}
    count = min(checkpoints, steps)
    return {round(steps * (place + 1) / count) for place in range(count)}


@contextmanager
def _alone(partial: Path) -> Generator[None, None, None]:
    """Holds a lock on the run, so that two processes cannot train into one folder."""
    lock = partial.with_name(partial.name + ".lock")
    held = FileLock(lock, timeout=0)
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=partial.parent).close()  # where this fails, the lock would look taken
        held.acquire()
    except Timeout:
        raise BrokenRunError(
            f"another process is training {str(partial)!r}; wait for it, or choose another name"
        ) from None
    except OSError as error:
        raise InvalidValueError(
            f"cannot write {str(partial)!r}: {error.strerror or error}; choose another place"
        ) from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # while it is held: whoever opened it by now finds that it is gone, and tries anew
        held.release()


def _open(partial: Path, config: TrainConfig) -> None:
    """Starts the run's folder, or checks that what is there belongs to this configuration."""
    file = partial / "config.json"
    if (partial / STATE).exists():
        _refuse_other(read_config(read_json(file), partial), config, partial)
        remove_parts(partial)
        return
    if partial.is_dir():
        shutil.rmtree(partial)  # left by a process that was killed before its first checkpoint
    tasks = {member.task.name: member.task.version for member in mixture_of(config)}
    write_json(file, {"format": FORMAT, "tasks": tasks, "config": config.model_dump(mode="json")})


def _close(partial: Path, path: Path, *, seconds: float) -> None:
    packages = ("torch", "transformer-lens", "numpy", "pandas", "safetensors")
    environment = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "seconds": round(seconds, 1),
        **{name: version(name) for name in packages},
    }
    write_json(partial / "environment.json", environment)
    try:
        partial.rename(path)
    except OSError as error:
        raise InvalidValueError(f"cannot write {str(path)!r}: {error.strerror or error}; choose another name") from None
    (path / STATE).unlink()


def _refuse_other(there: TrainConfig, asked: TrainConfig, path: Path) -> None:
    """Raises InvalidValueError, naming the first differences, unless the configurations are equal."""
    old, new = _flat(there.model_dump(mode="json")), _flat(asked.model_dump(mode="json"))
    other = [
        f"{key} is {old.get(key)} there, {new.get(key)} here" for key in {**old, **new} if old.get(key) != new.get(key)
    ]
    if other:
        raise InvalidValueError(
            f"{str(path)!r} holds a run with another configuration ({'; '.join(other[:3])}); "
            "choose another name, or remove that folder"
        )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
