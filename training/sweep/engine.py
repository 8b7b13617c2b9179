"""What every engine is given, what it tells, and how it trains one job."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tasks import InterpError, InvalidValueError
from training.config import TrainConfig
from training.keeping import Progress
from training.train import train


@dataclass(frozen=True)
class Job:
    """A run to train.

    Attributes:
        name: What it is called in reports.
        config: What to train.
        path: The run's folder.
    """

    name: str
    config: TrainConfig
    path: Path


class Watcher:
    """Is told what becomes of jobs, always in the process that asked; this one takes no notice."""

    def started(self, name: str) -> None:
        """A job begins, goes on from its last checkpoint, or begins again on another node."""

    def progressed(self, name: str, progress: Progress) -> None:
        """Where a job's training stands."""

    def ended(self, name: str, error: Exception | None) -> None:
        """A job is finished, or failed with an error; each job ends once."""


Engine = Callable[[Sequence[Job], Watcher], None]
"""Trains jobs, and tells a watcher; a job that fails leaves the others alone."""


def attempt(job: Job, *, threads: int, device: str = "cpu", on_step: Callable[[Progress], object]) -> Exception | None:
    """Trains a job on so many threads; what goes wrong is returned, in a form that another process can read."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        train(job.config, job.path, device=device, on_step=on_step)
    except InterpError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one cell must not cost the others
        return defect(error)
    finally:
        torch.set_num_threads(before)
    return None


def defect(error: Exception) -> RuntimeError:
    """An error that is not the user's, with its traceback as a note: the original may not survive between processes."""
    told = RuntimeError(f"{type(error).__name__}: {error}")
    told.add_note("".join(traceback.format_exception(error)))
    return told


def ended_from_outside() -> InterpError:
    """The error of a job whose process was killed."""
    return InterpError(
        "a training process was ended from outside (perhaps memory ran out); "
        "start the same command again and it goes on from the last checkpoint"
    )


def check_at_least_one(name: str, value: int) -> None:
    """Raises InvalidValueError unless a number of workers or threads is 1 or more."""
    if value < 1:
        raise InvalidValueError(f"{name} = {value}; allowed is 1 or more")
