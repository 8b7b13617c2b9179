"""The engine `ray`: jobs on the nodes of a Ray cluster, which share the folder that the runs are written to."""

import dataclasses
import importlib.util
import logging
import os
import socket
import uuid
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from tasks import InterpError, InvalidValueError
from training.folder import DECISIVE
from training.sweep.engine import Job, Watcher, check_at_least_one, defect, ended_from_outside
from training.sweep.processes import cores
from training.sweep.ray_node import SECONDS, Reports, node_problem, train_on_node

_CONNECT, _LOOK = 5, 300
"""Seconds to wait for a cluster, and for all nodes to look at the folder."""

_STORE = 100 * 1024**2
"""Bytes of a local node's object store; all that is sent are configurations and reports."""


@dataclass(frozen=True)
class Ray:
    """Trains on a Ray cluster. A job whose node dies goes on elsewhere from its last checkpoint, however often.

    Attributes:
        address: `local`: a cluster of this machine alone, for as long as the sweep; `auto`: the one that runs here; or
            the host:port of one that this machine belongs to.
        workers: Jobs at a time; `all`: as many as the cluster has room for.
        threads: Threads of each job, and the cores that it reserves; the last bits of the results may depend on it.

    Raises:
        InvalidValueError: No worker or thread, an address of another form, or Ray is not installed.
    """

    address: str = "local"
    workers: int | Literal["all"] = "all"
    threads: int = 1

    def __post_init__(self) -> None:
        check_at_least_one("threads", self.threads)
        if self.workers != "all":
            check_at_least_one("workers", self.workers)
        host, _, port = self.address.rpartition(":")
        if self.address not in ("local", "auto") and not (host and "/" not in host and port.isdecimal()):
            raise InvalidValueError(f"address {self.address!r} is none of 'local', 'auto' and 'host:port'")
        if importlib.util.find_spec("ray") is None:
            raise InvalidValueError("Ray is not installed; pip install 'interp-toolkit[ray]', or use another engine")

    def __call__(self, jobs: Sequence[Job], watcher: Watcher) -> None:
        """Trains the jobs; a job whose process is killed on a node that lives is told as failed.

        Raises:
            InterpError: No cluster answers, none of its nodes has enough cores, or a node does not see the folder or
                has other versions.
        """
        jobs = [dataclasses.replace(job, path=job.path.absolute()) for job in jobs]
        with self._cluster() as ray, _token(jobs[0].path.parent) as token:
            self._check_nodes(ray, token)
            _Dispatch(ray, self, token, watcher).go(jobs)

    @contextmanager
    def _cluster(self) -> Generator[ModuleType, None, None]:
        """Ray, connected; if this process belongs to a cluster already, that one, and it stays so."""
        self._check_answers()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a local cluster would report its use to Ray's makers
        import ray

        if ray.is_initialized():
            yield ray
            return
        options: dict[str, Any] = {"address": self.address, "log_to_driver": False, "logging_level": logging.ERROR}
        if self.address == "local":
            wanted = cores() if self.workers == "all" else self.workers * self.threads
            options |= {"num_cpus": max(self.threads, wanted), "include_dashboard": False}
            options |= {"object_store_memory": _STORE}
        try:
            ray.init(**options)
        except ConnectionError:
            raise self._no_answer() if self.address in ("local", "auto") else self._no_entry() from None
        try:
            yield ray
        finally:
            ray.shutdown()

    def _check_answers(self) -> None:
        """Ray itself tries a dead address for minutes, then ends the process."""
        host, _, port = self.address.rpartition(":")
        if host:
            try:
                socket.create_connection((host, int(port)), timeout=_CONNECT).close()
            except OSError:
                raise self._no_answer() from None

    def _no_answer(self) -> InterpError:
        return InterpError(
            f"no Ray cluster answers at {self.address!r}; start one with 'ray start --head', or leave the address out"
        )

    def _no_entry(self) -> InterpError:
        """Something answers, and Ray cannot join it: given an address, Ray shows no token unless told to."""
        return InterpError(
            f"what answers at {self.address!r} lets no one in; if the cluster wants a token, set RAY_AUTH_MODE=token "
            "and use the head's (docs/sweeps.md), and if no cluster is there, start one with 'ray start --head'"
        )

    def _check_nodes(self, ray: ModuleType, token: Path) -> None:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        most = max(node["Resources"].get("CPU", 0) for node in nodes)
        if most < self.threads:
            raise InvalidValueError(f"no node of the cluster has {self.threads} cores; the largest has {most:.0f}")
        versions = {name: version(name) for name in DECISIVE}
        looks = [ray.remote(node_problem).options(**_on(node["NodeID"])).remote(token, versions) for node in nodes]
        done, _ = ray.wait(looks, num_returns=len(looks), timeout=_LOOK)
        for node, look in zip(nodes, looks, strict=True):
            name = node["NodeManagerHostname"]
            try:
                problem = ray.get(look) if look in done else "does not answer"
            except ray.exceptions.RayTaskError as error:
                problem = f"cannot run this toolkit ({str(error).splitlines()[-1]}); install it there"
            except ray.exceptions.RayError:
                continue  # the node has gone; its jobs will go elsewhere
            if problem:
                raise InterpError(f"node {name!r} of the cluster {problem}")


class _Dispatch:
    """Sends jobs to the cluster, passes on their reports, and sends those of dead nodes once more."""

    def __init__(self, ray: ModuleType, engine: Ray, token: Path, watcher: Watcher) -> None:
        self.ray, self.engine, self.token, self.watcher = ray, engine, token, watcher
        here = ray.get_runtime_context().get_node_id()
        self.reports = ray.remote(Reports).options(**_on(here)).remote()
        self.train = ray.remote(train_on_node).options(num_cpus=engine.threads, max_retries=0)
        self.sent: dict[Any, Job] = {}

    def go(self, jobs: Sequence[Job]) -> None:
        """Trains the jobs."""
        waiting = deque(jobs)
        limit = len(jobs) if self.engine.workers == "all" else self.engine.workers
        try:
            while waiting or self.sent:
                while waiting and len(self.sent) < limit:
                    job = waiting.popleft()
                    self.sent[self.train.remote(job, self.engine.threads, self.token, self.reports)] = job
                done, _ = self.ray.wait(list(self.sent), timeout=SECONDS)
                self._pass_on()
                waiting.extendleft(job for one in done if (job := self._take(one)))
        finally:
            for one in self.sent:
                self.ray.cancel(one, force=True)
            self.ray.kill(self.reports)

    def _pass_on(self) -> None:
        for name, progress in self.ray.get(self.reports.take.remote()):
            if progress is None:
                self.watcher.started(name)
            else:
                self.watcher.progressed(name, progress)

    def _take(self, one: Any) -> Job | None:
        """Tells how a job ended; returns it if its node died, so that it has not."""
        job, errors = self.sent.pop(one), self.ray.exceptions
        try:
            error = self.ray.get(one)
        except errors.NodeDiedError:
            return job
        except (errors.WorkerCrashedError, errors.OutOfMemoryError):
            error = ended_from_outside()
        except errors.RayError as found:
            error = defect(found)
        self.watcher.ended(job.name, error)
        return None


def _on(node: str) -> dict[str, Any]:
    """Options that place a task or actor, which needs no core, on a node."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


@contextmanager
def _token(folder: Path) -> Generator[Path, None, None]:
    """A file in the runs' folder, with a name that no other machine's folder has."""
    path = folder / f".seen-{uuid.uuid4().hex}"
    path.touch()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
