"""The engine `serial`: one job after the other, in this process."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.sweep.engine import Job, Watcher, attempt, check_at_least_one


@dataclass(frozen=True)
class Serial:
    """Trains in this process.

    Attributes:
        threads: Threads of the training; the last bits of the results may depend on it.
        device: Where models are trained; they depend on it in their last bits.

    Raises:
        InvalidValueError: No thread.
    """

    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_at_least_one("threads", self.threads)

    def __call__(self, jobs: Sequence[Job], watcher: Watcher) -> None:
        """Trains the jobs; an interrupt leaves the job that is in training at its last checkpoint."""
        for job in jobs:
            watcher.started(job.name)
            error = attempt(
                job, threads=self.threads, device=self.device,
                on_step=lambda at, name=job.name: watcher.progressed(name, at),
            )  # fmt: skip
            watcher.ended(job.name, error)
