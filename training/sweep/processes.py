"""The engine `processes`: several jobs at once on one machine, each in a process of its own."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Literal

from tasks import InvalidValueError
from training.keeping import Progress
from training.sweep.engine import Job, Watcher, attempt, check_at_least_one, ended_from_outside

_EVERY = 10
"""Steps between two reports of progress from a worker."""


@dataclass(frozen=True)
class Processes:
    """Trains in several processes.

    Attributes:
        workers: Jobs at a time; `all`: as many as the cores allow.
        threads: Threads of each job; the last bits of the results may depend on it.
        device: Where models are trained; they depend on it in their last bits. All workers share it.

    Raises:
        InvalidValueError: No worker or thread; or several threads for each worker, and more of them than cores: threads
            of one step that wait for each other's cores make it many times slower.
    """

    workers: int | Literal["all"] = "all"
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_at_least_one("threads", self.threads)
        if self.workers == "all":
            return
        check_at_least_one("workers", self.workers)
        if min(self.threads, self.workers) > 1 and self.threads * self.workers > cores():
            raise InvalidValueError(
                f"{self.workers} workers of {self.threads} threads each need {self.workers * self.threads} cores, and "
                f"there are {cores()}; use {max(1, cores() // self.threads)} workers or 1 thread"
            )

    def __call__(self, jobs: Sequence[Job], watcher: Watcher) -> None:
        """Trains the jobs in their order; a process that is killed costs its own job only.

        An interrupt, or an error that the watcher raises, ends all processes, each at its last checkpoint; and they end
        when this process is gone.
        """
        team: list[_Worker] = []
        try:
            self._train(deque(jobs), watcher, team)
        except BaseException:
            for worker in team:
                worker.process.terminate()
            raise
        finally:
            for worker in team:
                worker.dismiss()

    def _train(self, waiting: deque[Job], watcher: Watcher, team: "list[_Worker]") -> None:
        workers = max(1, cores() // self.threads) if self.workers == "all" else self.workers
        while waiting or any(worker.job for worker in team):
            idle = [worker for worker in team if worker.job is None]
            while waiting and (idle or len(team) < workers):
                if not idle:
                    team.append(_Worker(self.threads, self.device))
                worker = idle.pop() if idle else team[-1]
                watcher.started(waiting[0].name)
                worker.give(waiting.popleft())
            busy = {worker.pipe: worker for worker in team if worker.job}
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # pyright: ignore[reportArgumentType]  (what was waited for comes back)
                if not worker.report(watcher):
                    team.remove(worker)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """A process that trains one job after the other, and a pipe of its own to it.

    Attributes:
        job: What it is training; None if it is idle.
    """

    def __init__(self, threads: int, device: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.job: Job | None = None
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, threads, device), daemon=True)
        # Ctrl-C reaches all processes of a terminal; the one that was asked ends the others. They inherit the mask.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def give(self, job: Job) -> None:
        """Lets it train a job; if the process is gone, `report` will find out."""
        self.job = job
        try:
            self.pipe.send(job)
        except OSError:
            self.process.kill()

    def report(self, watcher: Watcher) -> bool:
        """Passes on the next thing it says; False if the process is gone."""
        name = self.job.name if self.job else ""
        try:
            said = self.pipe.recv()
        except (EOFError, OSError):
            self.dismiss()
            self.job = None
            watcher.ended(name, ended_from_outside())
            return False
        if isinstance(said, Progress):
            watcher.progressed(name, said)
        else:
            self.job = None
            watcher.ended(name, said)
        return True

    def dismiss(self) -> None:
        """Ends the process, once it is idle, and waits for it."""
        self.pipe.close()
        self.process.join()


def _work(pipe: Connection, threads: int, device: str) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def report(progress: Progress) -> None:
        if progress.step % _EVERY == 0 or progress.step == progress.steps:
            pipe.send(progress)

    while True:
        try:
            job: Job = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(attempt(job, threads=threads, device=device, on_step=report))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # whoever asked for this is gone; the last checkpoint is on disk
