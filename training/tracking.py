"""Sending what is measured while training to a tracker: TensorBoard, Weights & Biases, or one of your own."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import pandas as pd
from torch import Tensor

from training.loop import Training
from training.optimizer import learning_rate

EVERY = 10
"""Steps between two reports of the loss."""


@runtime_checkable
class Tracker(Protocol):
    """Takes in numbers as training goes on. `training.trackers` has two; anything with these methods will do."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Takes in the numbers of a step, by name, as in `accuracy/copy/20/averaged`."""
        ...

    def close(self) -> None:
        """Called at the end, also after an error."""
        ...


def report_step(trackers: Sequence[Tracker], training: Training, losses: Tensor, gradient_norm: float) -> None:
    """Reports every tenth step: `loss` and `loss/TASK` (nats per scored token), `learning_rate`, `gradient_norm`."""
    if training.done % EVERY:
        return
    values = {
        f"loss/{member.task.name}": float(loss / scored)
        for member, (loss, scored) in zip(training.mixture, losses.tolist(), strict=True)
        if scored
    }
    values |= {
        "loss": float(losses[:, 0].sum() / losses[:, 1].sum()),
        "learning_rate": learning_rate(training.done - 1, training.config.train),
        "gradient_norm": gradient_norm,
    }
    for tracker in trackers:
        tracker.log(training.done, values)


def report_checkpoint(trackers: Sequence[Tracker], metrics: pd.DataFrame, timing: pd.DataFrame) -> None:
    """Reports a checkpoint: `accuracy/TASK/LENGTH/WEIGHTS`, and `timing/...` as in `Run.timing`."""
    if not trackers:
        return
    columns = (metrics[name].tolist() for name in ("task", "length", "weights", "accuracy"))
    values = {
        f"accuracy/{task}/{length}/{kind}": accuracy for task, length, kind, accuracy in zip(*columns, strict=True)
    }
    values |= {f"timing/{name}": value for name, value in timing.to_dict("records")[0].items() if name != "step"}
    for tracker in trackers:
        tracker.log(int(timing["step"].iloc[0]), values)
