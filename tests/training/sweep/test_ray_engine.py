"""The engine `ray`, on a real cluster of three nodes on this machine: a lost node costs nothing but time."""

import contextlib
import importlib.util
import logging
import os
import signal
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tasks import InterpError, InvalidValueError
from tests.training.sweep.quick import Notes
from tests.training.tiny import numbers, tiny_config
from training import Progress, Ray, Serial, TrainConfig
from training.runs import PARTIAL
from training.sweep import Job, ray_engine, ray_node

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="processes are found through /proc")

STORE = 80 * 1024**2

CONFIGS = {
    "long": tiny_config(seed=1, train={"steps": 1000}, measure={"checkpoints": 20}),
    "longer": tiny_config(seed=2, train={"steps": 1000}, measure={"checkpoints": 20}),
    "third": tiny_config(seed=3, train={"steps": 100}),
    "fourth": tiny_config(seed=4, train={"steps": 100}),
    "bad": tiny_config(seed=5, train={"learning_rate": 1e30, "clip": 1e30}),
}

ENDLESS = tiny_config(seed=1, train={"steps": 100_000}, measure={"checkpoints": 1000})
"""Is killed, so that it need not end; and cannot have ended before, however fast the machine is."""


def jobs(folder: Path, configs: dict[str, TrainConfig]) -> list[Job]:
    folder.mkdir(parents=True, exist_ok=True)
    return [Job(name, config, folder / name) for name, config in configs.items()]


def training_process(cluster: Any, run: Path) -> tuple[int, Any] | None:
    """The process of this cluster that trains the run, and its node, whose raylet is the parent of that process.

    It is known by the lock on the run, which it holds open. The name that Ray gives a process would not do: one that
    still imports its libraries, and has not begun, has the same.
    """
    raylets = {node.all_processes["raylet"][0].process.pid: node for node in cluster.worker_nodes}
    lock = str(run) + PARTIAL + ".lock"
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent in raylets and any(str(file.readlink()) == lock for file in (place / "fd").iterdir()):
                return int(place.name), raylets[parent]
    return None


@pytest.fixture(scope="module")
def cluster() -> Generator[Any, None, None]:
    """A head, where nothing is trained, and two nodes of one core each; this process belongs to it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        nodes.add_node(num_cpus=1, object_store_memory=STORE)
    nodes.wait_for_nodes()
    ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()


@needs_ray
@needs_proc
@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_every_cell_ends_once_though_a_node_is_killed(cluster: Any, tmp_path: Path) -> None:
    class Killing(Notes):
        def progressed(self, name: str, progress: Progress) -> None:
            super().progressed(name, progress)
            if not self.killed and progress.step > 100 and (found := training_process(cluster, folder / name)):
                self.killed = name
                cluster.remove_node(found[1], allow_graceful=False)

        killed = ""

    notes, folder = Killing(), tmp_path / "ray"
    Ray(address="auto")(jobs(folder, CONFIGS), notes)
    assert notes.killed in ("long", "longer")
    assert sorted(name for name, _ in notes.ends) == sorted(CONFIGS)
    assert {name for name, error in notes.ends if error} == {"bad"}
    assert dict(notes.ends)["bad"].startswith("the loss is no longer a number at step ")
    # what was lost began once more, and nothing else
    assert sorted(notes.starts) == sorted([*CONFIGS, notes.killed])
    assert sorted(path.name for path in folder.iterdir()) == sorted(CONFIGS.keys() - {"bad"})  # no lock, nothing half
    Serial()(jobs(tmp_path / "serial", CONFIGS), Notes())
    for name in CONFIGS.keys() - {"bad"}:
        assert numbers(folder / name) == numbers(tmp_path / "serial" / name)


@needs_ray
@pytest.mark.slow
@needs_proc
def test_a_killed_process_is_told_and_the_rest_goes_on(cluster: Any, tmp_path: Path) -> None:
    class Killing(Notes):
        def progressed(self, name: str, progress: Progress) -> None:
            super().progressed(name, progress)
            if name == "long" and not self.killed and (found := training_process(cluster, tmp_path / name)):
                self.killed = True
                os.kill(found[0], signal.SIGKILL)

        killed = False

    notes = Killing()
    Ray(workers=1)(jobs(tmp_path, {"long": ENDLESS, "third": CONFIGS["third"]}), notes)
    assert [name for name, _ in notes.ends] == ["long", "third"]
    assert notes.ends[0][1].startswith("a training process was ended from outside (perhaps memory ran out); start the")
    assert notes.ends[1][1] == ""


@needs_ray
@pytest.mark.slow
def test_clusters_that_cannot_train(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = jobs(tmp_path, {"third": CONFIGS["third"]})
    with pytest.raises(InvalidValueError, match="^no node of the cluster has 3 cores; the largest has 1$"):
        Ray(threads=3)(chosen, Notes())

    @contextlib.contextmanager
    def elsewhere(folder: Path) -> Generator[Path, None, None]:
        yield folder / "there is no such file"

    with monkeypatch.context() as patch:
        patch.setattr(ray_engine, "_token", elsewhere)
        with pytest.raises(InterpError) as caught:
            Ray()(chosen, Notes())
    assert f"of the cluster does not see {str(tmp_path)!r}; the sweep's folder must be on a file" in str(caught.value)
    monkeypatch.setattr(ray_engine, "version", lambda name: "0")
    with pytest.raises(
        InterpError, match="of the cluster has [a-z-]+ [0-9].*, and 0 here, so its numbers would be oth"
    ):
        Ray()(chosen, Notes())
    assert list(tmp_path.iterdir()) == []


@needs_ray
def test_an_address_where_nothing_answers(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        text = f"^no Ray cluster answers at '{address}'; start one with 'ray start --head', or leave the address out$"
        with pytest.raises(InterpError, match=text):
            Ray(address=address)(jobs(tmp_path, {"third": CONFIGS["third"]}), Notes())
    assert list(tmp_path.iterdir()) == []


@needs_ray
def test_an_address_that_lets_no_one_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(**_: object) -> None:
        raise ConnectionError("Unauthenticated")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(InterpError, match=f"^what answers at '{address}' lets no one in; .* set RAY_AUTH_MODE=tok"):
            Ray(address=address)(jobs(tmp_path, {"third": CONFIGS["third"]}), Notes())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"workers": 0}, "workers = 0; allowed is 1 or more"),
        ({"threads": 0}, "threads = 0; allowed is 1 or more"),
        ({"address": "nonsense"}, "address 'nonsense' is none of 'local', 'auto' and 'host:port'"),
        ({"address": "ray://host:10001"}, "address 'ray://host:10001' is none of 'local', 'auto' and 'host:port'"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        Ray(**settings)


def test_without_ray_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    text = "^Ray is not installed; pip install 'interp-toolkit.ray.', or use another engine$"
    with pytest.raises(InvalidValueError, match=text):
        Ray()


def test_a_lock_of_a_lost_node_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, waits = contextlib.ExitStack(), []
    held.enter_context(ray_node.alone(tmp_path / "x.partial"))

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            held.close()  # the other process has died at last

    monkeypatch.setattr("training.sweep.ray_node.time.sleep", sleep)
    ray_node.wait_for_predecessor(tmp_path / "x")
    assert len(waits) == 3
    with ray_node.alone(tmp_path / "x.partial"):
        monkeypatch.setattr(ray_node, "_PATIENCE", 0)
        ray_node.wait_for_predecessor(tmp_path / "x")  # gives up; `train` says what is wrong
