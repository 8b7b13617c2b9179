"""Several runs at once, in real processes: results, progress, errors, and no process left behind."""

import contextlib
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks import InterpError, InvalidValueError
from tests.training.tiny import numbers, tiny_config
from training import Progress, TrainConfig, train
from training.parallel import train_many

ROOT = Path(__file__).parents[2]
CORES = os.cpu_count() or 1

LONG = tiny_config(train={"steps": 100_000}, measure={"checkpoints": 1000})


def jobs(folder: Path, configs: dict[str, TrainConfig]) -> dict[str, tuple[TrainConfig, Path]]:
    return {name: (config, folder / name) for name, config in configs.items()}


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_runs_are_trained_side_by_side_as_one_by_one(tmp_path: Path) -> None:
    configs = {"a": tiny_config(seed=1, train={"steps": 25}), "b": tiny_config(seed=2)}
    told: list[tuple[str, Progress]] = []
    train_many(jobs(tmp_path, configs), workers=CORES, on_progress=lambda name, progress: told.append((name, progress)))
    for name, config in configs.items():
        steps = [progress.step for other, progress in told if other == name]
        assert steps == [*range(10, config.train.steps, 10), config.train.steps]
        assert all(progress.loss > 0 for _, progress in told)
        train(config, tmp_path / "alone" / name)  # with one thread, like each of as many workers as there are cores
        assert numbers(tmp_path / name) == numbers(tmp_path / "alone" / name)
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("one_thread")
def test_finished_runs_need_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config()
    train(config, tmp_path / "a")
    monkeypatch.setattr("training.parallel.Processes", None)
    told: list[tuple[str, int]] = []
    train_many(
        jobs(tmp_path, {"a": config}), workers=2, on_progress=lambda name, progress: told.append((name, progress.step))
    )
    assert told == [("a", 12)]
    with pytest.raises(InvalidValueError, match="holds a run with another configuration [(]seed is 0 there, 1 here[)]"):
        train_many(jobs(tmp_path, {"a": tiny_config(seed=1)}), workers=2)


@pytest.mark.slow
def test_the_first_error_is_raised_and_ends_the_others(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("a file where the run should be")
    text = f"{str(tmp_path / 'bad')!r} is a file, where the run's folder should be; choose another name"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        train_many(jobs(tmp_path, {"long": LONG, "bad": tiny_config()}), workers=2)
    assert multiprocessing.active_children() == []
    assert not (tmp_path / "long").exists()


@pytest.mark.slow
def test_a_worker_ended_from_outside_is_told_in_one_line(tmp_path: Path) -> None:
    def kill(name: str, progress: Progress) -> None:
        for process in multiprocessing.active_children():
            process.kill()

    with pytest.raises(
        InterpError, match="^a training process was ended from outside .*; start the same command again"
    ):
        train_many(jobs(tmp_path, {"long": LONG}), workers=1, on_progress=kill)
    assert (tmp_path / "long.partial").is_dir()


PARENT = """
import os, signal, sys
from pathlib import Path
from tests.training.test_parallel import LONG, jobs
from training.parallel import train_many

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background it is ignored
    names = {"a": LONG, "b": LONG}
    train_many(
        jobs(Path(sys.argv[1]), names), workers=2,
        on_progress=lambda name, progress: print(name, progress.step, flush=True),
    )
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found through /proc")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, sent: signal.Signals) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        started = {parent.stdout.readline().split()[0]}
        while len(started) < 2:
            started.add(parent.stdout.readline().split()[0])
        children = children_of(parent.pid)
        assert len(children) >= 2
        # Ctrl-C in a terminal reaches the whole group; a kill reaches one process.
        os.killpg(parent.pid, sent) if sent is signal.SIGINT else parent.send_signal(sent)
        _, errors = parent.communicate(timeout=300)  # a loaded machine starves new sessions
    deadline = time.monotonic() + 120
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [child for child in children if alive(child)] == []
    assert errors.count("Traceback") == (1 if sent is signal.SIGINT else 0), "the parent's own KeyboardInterrupt only"
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"a.partial", "b.partial"}


def children_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def alive(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False
