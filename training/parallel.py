"""Several training runs at once that belong together: the first error ends them all."""

from collections.abc import Callable, Mapping
from pathlib import Path

from training.config import TrainConfig
from training.keeping import Progress
from training.sweep.engine import Job, Watcher
from training.sweep.processes import Processes, cores
from training.train import train


def train_many(
    jobs: Mapping[str, tuple[TrainConfig, Path]],
    *,
    workers: int,
    on_progress: Callable[[str, Progress], object] = lambda name, progress: None,
) -> None:
    """Trains several runs, `workers` at a time; each has an equal share of the cores.

    Finished runs are found as they are and interrupted ones continued (`train`). The first error ends the others at
    their last checkpoint and is raised. So does an interrupt; and workers end when the process that started them is
    gone. A run's share of the cores depends on `workers` alone, as the last bits of its numbers may depend on it.

    Args:
        jobs: For each name, the configuration and the run's folder; started in this order.
        workers: How many at a time.
        on_progress: Called with the job's name and where it stands, in this process.

    Raises:
        InterpError: What `train` raises; or a worker was ended from outside.
    """
    waiting = [Job(name, *job) for name, job in jobs.items() if not _finished(name, job, on_progress)]
    if waiting:
        Processes(workers=workers, threads=max(1, cores() // workers))(waiting, _Strict(on_progress))


def _finished(name: str, job: tuple[TrainConfig, Path], on_progress: Callable[[str, Progress], object]) -> bool:
    """Whether the run is there already; raises InvalidValueError if it is another one."""
    config, path = job
    if not path.is_dir():
        return False
    train(config, path)
    on_progress(name, Progress(config.train.steps, config.train.steps, float("nan")))
    return True


class _Strict(Watcher):
    """Raises the first error."""

    def __init__(self, on_progress: Callable[[str, Progress], object]) -> None:
        self._on_progress = on_progress

    def progressed(self, name: str, progress: Progress) -> None:
        self._on_progress(name, progress)

    def ended(self, name: str, error: Exception | None) -> None:
        if error is not None:
            raise error
