"""Training that is kept in a folder: checkpoints, metrics, and the state that a continued run goes by."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from tasks import BrokenRunError, InvalidValueError, Member
from training.config import MeasureConfig, TrainConfig
from training.evaluate import evaluate
from training.feed import feed
from training.files import AGAIN, ELSEWHERE, read_table, read_tensors, write_table, write_tensors
from training.folder import STATE
from training.loop import Training
from training.optimizer import learning_rate
from training.randomness import named_generator
from training.runs import METRICS, TIMING, checkpoint_path, weight_kinds
from training.timing import Stopwatch
from training.tracking import Tracker, report_checkpoint, report_step


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


class Keeper:
    """Trains what is left of a run, and keeps in its folder what has to be kept.

    Raises:
        BrokenRunError: What is left of an interrupted run is damaged.
        InvalidValueError: There is not room enough for the checkpoints.
    """

    def __init__(self, config: TrainConfig, folder: Path, *, device: str, trackers: Sequence[Tracker] = ()) -> None:
        self.config, self.folder, self.trackers = config, folder, trackers
        self.training = Training(config, device=device)
        self.metrics, self.timing = pd.DataFrame(), pd.DataFrame()
        self.losses = torch.zeros(len(config.mixture), 2)  # since the last checkpoint: summed loss, scored tokens
        if (folder / STATE).exists():
            self._resume()
        self.last = self.training.done  # the step that a continued run would go on from
        self.kept = checkpoint_steps(config.train.steps, config.measure)
        self._check_room()
        self.watch = Stopwatch(before=float(self.timing["seconds"].iloc[-1]) if len(self.timing) else 0.0)

    @property
    def seconds(self) -> float:
        """Seconds of training, over all sessions, those of earlier ones counted to their last checkpoint."""
        return self.watch.seconds

    def go(self, on_step: Callable[[Progress], object]) -> None:
        """Trains to the end."""
        steps, training = self.config.train.steps, self.training
        reading = feed(self.config, training.mixture, first=training.done, device=training.model.device)
        while training.done < steps:
            with self.watch.step():
                losses, norm = training.step(training.done, next(reading))
                self.losses += losses
                loss, gradient = float(losses[:, 0].sum() / losses[:, 1].sum()), float(norm)
            self.watch.count(int(training.examples.sum()), training.tokens, int(losses[:, 1].sum()))
            if not torch.tensor((loss, gradient)).isfinite().all():
                raise self._diverged(losses)
            if self.trackers:
                report_step(self.trackers, training, losses, gradient)
            if training.done in self.kept:
                self._keep(gradient)
            on_step(Progress(training.done, steps, loss))

    def _diverged(self, losses: Tensor) -> InvalidValueError:
        settings, training = self.config.train, self.training
        mix = ", ".join(
            f"{int(n)} of {member.task.name} (loss {float(loss / max(scored, 1)):.4g})"
            for member, n, (loss, scored) in zip(training.mixture, training.examples, losses.tolist(), strict=True)
        )
        kept = f", and choose another name: step {self.last} is kept in {str(self.folder)!r}" if self.last else ""
        return InvalidValueError(
            f"the loss is no longer a number at step {training.done}, whose examples were {mix}; lower "
            f"train.learning_rate ({settings.learning_rate}) or train.clip ({settings.clip}){kept}"
        )

    def _keep(self, norm: float) -> None:
        """Writes the checkpoint, then the tables, then the state, which is what a continued run goes by."""
        training = self.training
        weights = {kind: _stored(named, self.config.measure) for kind, named in training.weights().items()}
        table = self._measure(weights).assign(gradient_norm=norm)
        self.metrics = pd.concat([self.metrics, table], ignore_index=True)
        row = pd.DataFrame([{"step": training.done, **self.watch.lap()}])
        self.timing = pd.concat([self.timing, row], ignore_index=True)
        try:
            for kind, named in weights.items():
                write_tensors(checkpoint_path(self.folder, training.done, kind), named)
            write_table(self.folder / METRICS, self.metrics)
            write_table(self.folder / TIMING, self.timing)
            write_tensors(self.folder / STATE, training.state())
        except InvalidValueError as error:
            raise self._unwritable(error) from None
        self.last = training.done
        self.losses.zero_()
        report_checkpoint(self.trackers, table, row)

    def _unwritable(self, error: InvalidValueError) -> InvalidValueError:
        again = f"; mend that and start the same command again: it goes on from step {self.last}"
        return InvalidValueError(str(error).removesuffix(ELSEWHERE) + (again if self.last else ELSEWHERE))

    def _measure(self, weights: dict[str, dict[str, Tensor]]) -> pd.DataFrame:
        present = self.training.weights()["raw"]
        tables: list[pd.DataFrame] = []
        for kind, values in weights.items():
            self.training.load(values)
            for place, member in enumerate(self.training.mixture):
                table = self._accuracy(member, place)
                table["loss"] = float(self.losses[place, 0] / self.losses[place, 1])  # NaN if it was never drawn
                table.insert(0, "weights", kind)
                tables.append(table)
        self.training.load(present)
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
        self.metrics, self.timing = (
            table[table["step"] <= self.training.done].reset_index(drop=True)
            for table in (read_table(self.folder / name) for name in (METRICS, TIMING))
        )

    def _check_room(self) -> None:
        """Raises InvalidValueError if the disk has no room for what is still to be kept."""
        kinds = len(weight_kinds(self.config.train))
        count = sum(weight.numel() for weight in self.training.model.parameters())
        trained, averaged = (
            sum(weight.numel() for weight in named.values())
            for named in (self.training.adaptation.trained, self.training.adaptation.exact)
        )
        number = {"float32": 4, "bfloat16": 2}[self.config.measure.storage]
        checkpoints = sum(step > self.training.done for step in self.kept)
        state = 4 * (3 * trained + (kinds - 1) * averaged)
        needed = count * kinds * number * checkpoints + 2 * state  # a new state beside the old one
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise InvalidValueError(
                f"{str(self.folder)!r} needs about {needed / 1e9:.2g} GB for {checkpoints} checkpoints, and the disk "
                f"has {free / 1e9:.2g} GB left; make room, choose another place, keep fewer (measure.checkpoints), or "
                "halve them (measure.storage = 'bfloat16')"
            )


def checkpoint_steps(steps: int, measure: MeasureConfig) -> set[int]:
    """The steps with a checkpoint: spaced as asked, or those chosen; always the last one."""
    if isinstance(measure.checkpoints, tuple):
        return {*measure.checkpoints, steps}
    if measure.spacing == "every":
        return {*range(measure.checkpoints, steps, measure.checkpoints), steps}
    count = min(measure.checkpoints, steps)
    shares = [(place + 1) / count for place in range(count)]
    if measure.spacing == "log":
        return {round(steps**share) for share in shares}
    return {round(steps * share) for share in shares}


def _stored(weights: dict[str, Tensor], measure: MeasureConfig) -> dict[str, Tensor]:
    """Weights as a checkpoint holds them."""
    if measure.storage == "float32":
        return weights
    return {name: weight.to(torch.bfloat16) for name, weight in weights.items()}
