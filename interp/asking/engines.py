"""What trains the cells of a sweep, as options name it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from training.sweep import Engine


@Parameter(name="*")
@dataclass(frozen=True)
class Engines:
    """Where cells are trained, and how many at a time."""

    engine: Literal["serial", "processes", "ray"] = "processes"
    """One cell after the other in this process, several processes on this machine, or a Ray cluster."""

    workers: int | None = None
    """How many cells at a time; as many as the cores allow if left out."""

    threads: int = 1
    """Threads of each cell. The last bits of results may depend on it, and not on the engine."""

    device: str = "cpu"
    """Where models are trained: cpu, cuda, ...; all workers share it. Not with Ray."""

    address: str | None = None
    """With Ray: auto for the cluster that runs here, or its host:port; one of this machine alone if left out."""


def chosen_engine(asked: Engines) -> "Engine":
    """The engine that the options name.

    Raises:
        InvalidValueError: Options that contradict each other, no worker or no thread.
    """
    from tasks import InvalidValueError
    from training import Processes, Ray, Serial

    if asked.address is not None and asked.engine != "ray":
        raise InvalidValueError(f"--address goes with --engine ray, and the engine is {asked.engine!r}; leave it out")
    if asked.device != "cpu" and asked.engine == "ray":
        raise InvalidValueError(
            f"--device {asked.device} does not go with --engine ray, which trains on processors; leave one of them out"
        )
    if asked.engine == "serial":
        if asked.workers is not None:
            raise InvalidValueError("--engine serial trains one cell at a time; leave --workers out")
        return Serial(threads=asked.threads, device=asked.device)
    several = "all" if asked.workers is None else asked.workers
    if asked.engine == "ray":
        return Ray(address=asked.address or "local", workers=several, threads=asked.threads)
    return Processes(workers=several, threads=asked.threads, device=asked.device)
