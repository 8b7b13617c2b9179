"""What runs on the nodes of a Ray cluster: a look at the folder, the training of a job, and what is said of it.

Ray itself is not needed here: it is given what follows, and sends it to the nodes.
"""

import socket
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tasks import BrokenRunError, InterpError, InvalidValueError
from training.folder import alone
from training.keeping import Progress
from training.runs import PARTIAL
from training.sweep.engine import Job, attempt

SECONDS = 0.5
"""Between two reports of progress from a job, and between two looks at them."""

_PATIENCE = 180
"""Seconds that a job waits for the process that held its folder before: one on a lost node may outlive its node."""


class Reports:
    """An actor on the node that asked: what the jobs say of themselves, until it is taken."""

    def __init__(self) -> None:
        self._said: list[tuple[str, Progress | None]] = []

    def put(self, name: str, progress: Progress | None) -> None:
        """A job begins, or says where it stands."""
        self._said.append((name, progress))

    def take(self) -> list[tuple[str, Progress | None]]:
        """What was said since the last time."""
        said, self._said = self._said, []
        return said


def node_problem(token: Path, versions: dict[str, str]) -> str:
    """What is wrong with the node that this runs on; empty if nothing is."""
    if not token.is_file():
        return (
            f"does not see {str(token.parent)!r}; the sweep's folder must be on a file system that all nodes share, "
            "at the same path"
        )
    other = [f"{name} {version(name)}, and {asked} here" for name, asked in versions.items() if version(name) != asked]
    return f"has {other[0]}, so its numbers would be others; install one version" if other else ""


def train_on_node(job: Job, threads: int, token: Path, reports: Any) -> Exception | None:
    """Trains a job on the node that this runs on, and tells `reports`; what goes wrong is returned.

    Args:
        job: What to train.
        threads: On so many threads.
        token: A file that is there if the node sees the runs' folder.
        reports: The actor `Reports`.
    """
    if not token.is_file():  # a node that came later
        return InterpError(f"node {socket.gethostname()!r} of the cluster does not see {str(token.parent)!r}")
    reports.put.remote(job.name, None)
    wait_for_predecessor(job.path)
    last = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last > SECONDS or progress.step == progress.steps:
            last = time.monotonic()
            reports.put.remote(job.name, progress)

    return attempt(job, threads=threads, on_step=report)


def wait_for_predecessor(path: Path) -> None:
    """Waits until no other process holds the run; if it takes too long, `train` will say so."""
    partial = path.with_name(path.name + PARTIAL)
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            with alone(partial):
                return
        except BrokenRunError:
            time.sleep(SECONDS)
        except InvalidValueError:
            return
