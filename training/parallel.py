"""Several training runs at once, each in a process of its own."""

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch

from tasks import InterpError
from training.config import TrainConfig
from training.train import Progress, train

_EVERY = 10
"""Steps between two reports of progress from a worker."""


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
    waiting = {name: job for name, job in jobs.items() if not _finished(name, job, on_progress)}
    if not waiting:
        return
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    threads = max(1, (_cores()) // workers)
    pool = ProcessPoolExecutor(
        min(workers, len(waiting)), mp_context=context, initializer=_start_worker, initargs=(reports, threads)
    )
    try:
        futures = [pool.submit(_train_job, name, *job) for name, job in waiting.items()]
        _follow(futures, reports, on_progress)
    except BrokenProcessPool:
        raise InterpError(
            "a training process was ended from outside (perhaps memory ran out); "
            "start the same command again and it goes on from the last checkpoint"
        ) from None
    except BaseException:
        for process in (pool._processes or {}).values():  # noqa: SLF001  (the pool has no public way to end its workers)
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _finished(name: str, job: tuple[TrainConfig, Path], on_progress: Callable[[str, Progress], object]) -> bool:
    """Whether the run is there already; raises InvalidValueError if it is another one."""
    config, path = job
    if not path.is_dir():
        return False
    train(config, path)
    on_progress(name, Progress(config.train.steps, config.train.steps, float("nan")))
    return True


def _follow(futures: list[Future[None]], reports: Any, on_progress: Callable[[str, Progress], object]) -> None:
    """Passes on the workers' reports until all are done; raises the first error."""
    while True:
        over = all(future.done() for future in futures)  # asked first: an error that comes later is seen next time
        for future in futures:
            if future.done() and (error := future.exception()) is not None:
                raise error
        try:
            on_progress(*reports.get(timeout=0.2))
        except queue.Empty:
            if over:
                return


_reports: Any = None


def _start_worker(reports: Any, threads: int) -> None:
    global _reports  # noqa: PLW0603 - a worker's own state, set once when its process starts.
    _reports = reports
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the one that was asked ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # whoever asked for this is gone; the last checkpoint is on disk


def _train_job(name: str, config: TrainConfig, path: Path) -> None:
    def report(progress: Progress) -> None:
        if progress.step % _EVERY == 0 or progress.step == progress.steps:
            _reports.put((name, progress))

    train(config, path, on_step=report)
