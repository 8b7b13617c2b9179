"""Training that is stopped, killed or damaged on the way, and goes on."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import training.files
from tasks import BrokenRunError, InvalidValueError
from tests.training.tiny import StopError, files, numbers, stop_at, tiny_config
from training import Progress, Run, load_run, train
from training.files import read_tensors, write_json

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]


def test_stopped_after_every_step_and_continued_equals_never_stopped(whole: Run, tmp_path: Path) -> None:
    for step in range(1, 13):
        with pytest.raises(StopError):
            train(whole.config, tmp_path / "run", on_step=stop_at(step))
        assert not (tmp_path / "run").exists()
        assert (tmp_path / "run.partial").exists() == (step >= 4), "without a checkpoint nothing is left behind"
    train(whole.config, tmp_path / "run")
    assert numbers(tmp_path / "run") == numbers(whole.path)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("changes", [{"temperature": "log_n", "biases": "all"}, {"unembedding": "tied"}])
def test_any_kind_of_weight_survives_a_stop(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = tiny_config(model=changes)
    train(config, tmp_path / "whole")
    with pytest.raises(StopError):
        train(config, tmp_path / "run", on_step=stop_at(9))
    train(config, tmp_path / "run")
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")


KILLED = """
import os, random, signal, sys, time
import torch
torch.set_num_threads(1)
from training import TrainConfig, train
from training.files import read_json
from pathlib import Path

config, path = TrainConfig.read(read_json(Path(sys.argv[1]))), Path(sys.argv[2])
chance = random.Random(int(sys.argv[3]))
partial, kills, writing = path.with_name(path.name + ".partial"), 0, 0
while kills < 20 or (writing < 3 and kills < 60):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        train(config, path, on_step=lambda progress: os.write(write, b"."))
        os._exit(0)
    os.close(write)
    for _ in range(chance.randint(0, 3)):
        os.read(read, 1)  # nothing comes any more once the child has ended
    time.sleep(chance.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert killed, "it ended before it was killed often enough: give it more steps"
    kills += 1
    os.close(read)
    # In the middle of a checkpoint: a file half written, or weights on disk that the state does not know of yet.
    state = partial / "state.safetensors"
    newest = max((file.stat().st_mtime_ns for file in partial.glob("checkpoints/step-*")), default=0)
    halves = list(partial.rglob(".*.part*"))
    writing += bool(halves) or (newest > (state.stat().st_mtime_ns if state.exists() else 0))
print(kills, writing)
train(config, path)
"""


KEPT = {"checkpoints": 2, "spacing": "every", "lengths": [2], "n": 1}
"""Checkpoints so frequent, and measured so briefly, that much of the time goes into writing them."""


@pytest.mark.slow
def test_a_process_killed_at_twenty_random_moments_equals_never_killed(tmp_path: Path) -> None:
    config = tiny_config(train={"steps": 200, "average": [0.99, 0.9]}, measure=KEPT)
    whole = train(config, tmp_path / "whole")
    write_json(tmp_path / "config.json", config.model_dump(mode="json"))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "config.json"), str(tmp_path / "run"), "1"]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=600)
    kills, writing = map(int, shown.stdout.split())
    assert kills >= 20
    assert writing >= 3, "some of them while a checkpoint was written"
    assert numbers(tmp_path / "run") == numbers(whole.path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "run", "whole"]


def test_going_on_with_another_version_is_refused(whole: Run, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        train(whole.config, tmp_path / "run", on_step=stop_at(5))
    file = tmp_path / "run.partial" / "environment.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "torch": "2.0.0"}))
    text = (
        f"{str(tmp_path / 'run.partial')!r} was begun with other versions (torch is 2.0.0 there, {torch.__version__} "
        "here), so going on would give other numbers; install those, choose another name, or remove that folder"
    )
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        train(whole.config, tmp_path / "run")


def test_going_on_with_another_version_of_a_task_is_refused(whole: Run, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        train(whole.config, tmp_path / "run", on_step=stop_at(5))
    file = tmp_path / "run.partial" / "config.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps({**values, "tasks": {**values["tasks"], "copy": 99}}))
    with pytest.raises(BrokenRunError, match="was trained on version 99 of task 'copy', which is now version"):
        train(whole.config, tmp_path / "run")


def test_killed_between_the_last_two_acts(whole: Run, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    (tmp_path / "run" / "state.safetensors").write_bytes(b"renamed, and killed before this was removed")
    train(whole.config, tmp_path / "run")
    assert numbers(tmp_path / "run") == numbers(whole.path)


def test_remains_of_a_killed_writer_do_not_stay(whole: Run, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        train(whole.config, tmp_path / "run", on_step=stop_at(5))
    (tmp_path / "run.partial" / "checkpoints" / ".step-0000008.safetensors.1.part.safetensors").write_bytes(b"half")
    train(whole.config, tmp_path / "run")
    assert numbers(tmp_path / "run") == numbers(whole.path)


def test_what_is_left_from_before_the_first_checkpoint_is_no_obstacle(whole: Run, tmp_path: Path) -> None:
    other = tiny_config(seed=5)
    write_json(tmp_path / "run.partial" / "config.json", {"config": other.model_dump(mode="json")})
    (tmp_path / "run.partial" / "checkpoints").mkdir()
    (tmp_path / "run.partial" / "checkpoints" / "step-0000003.averaged.safetensors").write_bytes(b"")
    assert train(whole.config, tmp_path / "run").steps == [4, 8, 12]
    assert numbers(tmp_path / "run") == numbers(whole.path)


def test_an_unfinished_run_cannot_be_loaded(whole: Run, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        train(whole.config, tmp_path / "run", on_step=stop_at(8))
    for name in ("run", "run.partial"):
        text = f"run {str(tmp_path / name)!r} is not finished; start the command that trains it once more"
        with pytest.raises(BrokenRunError, match=re.escape(text)):
            load_run(tmp_path / name)


@pytest.mark.parametrize("unfinished", [False, True])
def test_another_configuration_is_refused(whole: Run, tmp_path: Path, unfinished: bool) -> None:
    path = tmp_path / "run" if unfinished else whole.path
    if unfinished:
        with pytest.raises(StopError):
            train(whole.config, path, on_step=stop_at(5))
    shown = f"{path}.partial" if unfinished else str(path)
    before = files(path.parent)
    text = (
        f"{shown!r} holds a run with another configuration (train.steps is 12 there, 13 here; "
        "seed is 0 there, 4 here); choose another name, or remove that folder"
    )
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        train(tiny_config(seed=4, train={"steps": 13}), path)
    assert files(path.parent) == before


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("state.safetensors", b"", "'{}/state.safetensors' is damaged (.*); remove the folder and train it again"),
        ("state.safetensors", b"nonsense" * 9, "'{}/state.safetensors' is damaged (.*); remove the folder and train"),
        ("metrics.parquet", b"PAR1", "'{}/metrics.parquet' is damaged (.*); remove the folder and train it again"),
        ("metrics.parquet", None, "'{}/metrics.parquet' is missing: the run is not whole; remove the folder and train"),
        ("config.json", b"{", "'{}/config.json' cannot be read (.*); remove the folder and train it again"),
        ("config.json", b"{}", "run '{}': config.json is not that of a run; remove the folder and train it again"),
    ],
)
def test_a_damaged_unfinished_run_is_refused(
    whole: Run, tmp_path: Path, name: str, content: bytes | None, text: str
) -> None:
    with pytest.raises(StopError):
        train(whole.config, tmp_path / "run", on_step=stop_at(5))
    partial = tmp_path / "run.partial"
    (partial / name).unlink() if content is None else (partial / name).write_bytes(content)
    expected = re.escape(text.format(partial)).replace(re.escape(".*"), ".*")
    with pytest.raises(BrokenRunError, match=f"^{expected}"):
        train(whole.config, tmp_path / "run")


def test_a_state_of_something_else_is_refused(whole: Run, tmp_path: Path) -> None:
    with pytest.raises(StopError):
        train(whole.config, tmp_path / "run", on_step=stop_at(5))
    state = tmp_path / "run.partial" / "state.safetensors"
    tensors = read_tensors(state)
    training.files.write_tensors(state, {name: tensor for name, tensor in tensors.items() if name != "step"})
    text = f"{str(state)!r} lacks 'step'; remove the folder and train it again"
    with pytest.raises(BrokenRunError, match=f"^{re.escape(text)}$"):
        train(whole.config, tmp_path / "run")


def test_two_processes_cannot_train_into_one_folder(whole: Run, tmp_path: Path) -> None:
    lock = tmp_path / "run.partial.lock"
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); print(); sys.stdin.read()"
    )
    text = f"another process is training {str(tmp_path / 'run.partial')!r}; wait for it, or choose another name"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(BrokenRunError, match=f"^{re.escape(text)}$"):
            train(whole.config, tmp_path / "run")
        other.send_signal(signal.SIGKILL)
    train(whole.config, tmp_path / "run")  # the lock of a dead process is none
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_that_another_process_finished_meanwhile_is_found(whole: Run, tmp_path: Path) -> None:
    def finish_elsewhere(progress: Progress) -> None:
        if progress.step == 1:
            with pytest.raises(BrokenRunError, match="another process is training"):
                train(whole.config, tmp_path / "run")

    train(whole.config, tmp_path / "run", on_step=finish_elsewhere)
    assert numbers(tmp_path / "run") == numbers(whole.path)
