"""What a long sweep has measured so far, in memory and on disk, so that an interrupted one goes on."""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tasks import BrokenRunError
from training.files import read_tensors, write_tensors


@dataclass(frozen=True)
class Record:
    """Every metric of every example: unedited, in the other run, and with each intervention.

    Attributes:
        unedited: Of the run without an edit.
        other: Of the run that replacements come from.
        edited: Of each intervention.
        done: Which of these are there.
    """

    unedited: Float[Tensor, "metric batch"]
    other: Float[Tensor, "metric batch"]
    edited: Float[Tensor, "metric intervention batch"]
    done: Bool[Tensor, "intervention batch"]

    @classmethod
    def empty(cls, *, metrics: int, interventions: int, examples: int) -> "Record":
        """Nothing measured yet."""
        edited = torch.zeros(metrics, interventions, examples, dtype=torch.float64)
        done = torch.zeros(interventions, examples, dtype=torch.bool)
        return cls(edited.new_zeros(metrics, examples), edited.new_zeros(metrics, examples), edited, done)

    def has(self, interventions: Sequence[int], rows: slice) -> bool:
        """Whether these interventions were measured on these examples."""
        return bool(self.done[list(interventions), rows].all())

    def put(self, interventions: Sequence[int], rows: slice, values: Float[Tensor, "metric stack row"]) -> None:
        """Takes down what some interventions did to some examples."""
        self.edited[:, list(interventions), rows] = values.cpu()
        self.done[list(interventions), rows] = True

    def put_runs(self, rows: slice, unedited: Float[Tensor, "metric row"], other: Float[Tensor, "metric row"]) -> None:
        """Takes down what some examples score without an edit, and in the other run."""
        self.unedited[:, rows], self.other[:, rows] = unedited.cpu(), other.cpu()

    @property
    def results(self) -> tuple[Tensor, Tensor, Tensor]:
        """Unedited, other, edited."""
        return self.unedited, self.other, self.edited


class Journal:
    """A record on disk, written whole and renamed, at most every few seconds.

    Args:
        path: The file; its name must change with everything that the record depends on (`analyses.store`).
        seconds: How long a record is at least before it is written again.
    """

    def __init__(self, path: Path, *, seconds: float = 10.0) -> None:
        self.path, self.seconds = path, seconds
        self._written = time.monotonic()

    def read(self, empty: Record) -> Record:
        """The record on disk, if there is a whole one of the same shape; else the empty one."""
        if not self.path.is_file():
            return empty
        try:
            kept = Record(**read_tensors(self.path))
        except (BrokenRunError, TypeError):
            return empty
        same = all(getattr(kept, name).shape == value.shape for name, value in vars(empty).items())
        return kept if same else empty

    @contextmanager
    def keeping(self, record: Record) -> Generator[None, None, None]:
        """Writes the record if the block ends early, by an error or Ctrl-C, and there is something to keep."""
        try:
            yield
        except BaseException:
            if record.done.any():
                self.write(record)
            raise

    def note(self, record: Record) -> None:
        """Writes the record, unless the last one is not yet old enough."""
        if time.monotonic() - self._written >= self.seconds:
            self.write(record)

    def write(self, record: Record) -> None:
        """Writes the record."""
        write_tensors(self.path, vars(record))
        self._written = time.monotonic()

    def remove(self) -> None:
        """Removes the file, when the results are kept elsewhere."""
        self.path.unlink(missing_ok=True)
