"""Trackers: what reaches TensorBoard's event files, an offline run of Weights & Biases, and one's own."""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks import InvalidValueError
from tests.training.tiny import StopError, numbers, stop_at, tiny_config
from training import Progress, Run, Tracker, train
from training.files import write_json
from training.optimizer import learning_rate
from training.trackers import TensorBoard, WeightsAndBiases

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]


class Notes:
    """A tracker of one's own: it only has the two methods."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, float]] = {}
        self.closed = 0

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.seen.setdefault(step, {}).update(values)

    def close(self) -> None:
        self.closed += 1


def accuracies(run: Run) -> dict[int, dict[str, float]]:
    """The accuracies of the run's table as a tracker names them, by step."""
    found: dict[int, dict[str, float]] = {}
    for row in run.metrics.to_dict("records"):
        key = f"accuracy/{row['task']}/{row['length']}/{row['weights']}"
        found.setdefault(row["step"], {})[key] = row["accuracy"]
    return found


def expected(run: Run, losses: dict[int, float]) -> dict[int, dict[str, float]]:
    """What a tracker must have been told of the tiny run, from its tables; the losses of single tasks aside."""
    seen: dict[int, dict[str, float]] = {
        10: {"loss": losses[10], "learning_rate": learning_rate(9, run.config.train)},
    }
    for step, values in accuracies(run).items():
        seen[step] = seen.get(step, {}) | values
    for _, row in run.timing.iterrows():
        seen[int(row["step"])] |= {f"timing/{name}": value for name, value in row.items() if name != "step"}
    return seen


def test_a_tracker_is_told_losses_every_tenth_step_and_the_tables_at_checkpoints(whole: Run, tmp_path: Path) -> None:
    notes, losses = Notes(), {}

    def remember(progress: Progress) -> None:
        losses[progress.step] = progress.loss

    run = train(whole.config, tmp_path / "run", trackers=[notes], on_step=remember)
    assert isinstance(notes, Tracker)
    assert numbers(run.path) == numbers(whole.path), "being watched changes nothing"
    found = {step: dict(values) for step, values in notes.seen.items()}
    alone = [found[10].pop(f"loss/{name}") for name in ("shift", "copy")]
    assert min(alone) <= losses[10] <= max(alone)
    assert found[10].pop("gradient_norm") > 0
    assert found == {step: pytest.approx(values) for step, values in expected(run, losses).items()}
    assert notes.closed == 1


def test_a_tracker_is_closed_after_an_error_and_where_nothing_is_left_to_do(whole: Run, tmp_path: Path) -> None:
    notes = Notes()
    with pytest.raises(StopError):
        train(whole.config, tmp_path / "run", trackers=[notes], on_step=stop_at(5))
    assert notes.closed == 1
    train(whole.config, whole.path, trackers=[notes])
    assert notes.closed == 2
    with pytest.raises(InvalidValueError, match="which marks unfinished runs"):
        train(whole.config, tmp_path / "x.partial", trackers=[notes])
    assert notes.closed == 3


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    losses: dict[int, float] = {}

    def remember(progress: Progress) -> None:
        losses[progress.step] = progress.loss

    run = train(tiny_config(), tmp_path / "run", trackers=[TensorBoard(tmp_path / "board")], on_step=remember)
    events = accumulator.EventAccumulator(str(tmp_path / "board")).Reload()
    found: dict[int, dict[str, float]] = {}
    for name in events.Tags()["scalars"]:
        for event in events.Scalars(name):
            found.setdefault(event.step, {})[name] = event.value
    for name in ("loss/shift", "loss/copy", "gradient_norm"):
        assert found[10].pop(name) > 0
    assert found == {step: pytest.approx(values, rel=1e-6) for step, values in expected(run, losses).items()}


WATCHED = """
import sys
from pathlib import Path
from training import TrainConfig, train
from training.files import read_json
from training.trackers import WeightsAndBiases
import torch
torch.set_num_threads(1)
folder = Path(sys.argv[1])
tracker = WeightsAndBiases("a study/run", folder=folder, config={"seed": 0})
train(TrainConfig.read(read_json(folder / "config.json")), folder / "run", trackers=[tracker])
"""


@pytest.mark.slow
def test_weights_and_biases_keeps_an_offline_run(whole: Run, tmp_path: Path) -> None:
    protobuf = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    write_json(tmp_path / "config.json", whole.config.model_dump(mode="json"))
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_DIR": "", "HOME": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", WATCHED, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True, timeout=300)
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    found: dict[int, dict[str, float]] = {}
    for content in records(file.read_bytes()):
        record: Any = protobuf.Record()
        record.ParseFromString(content)
        if record.WhichOneof("record_type") == "history":
            values = {item.key or "/".join(item.nested_key): float(item.value_json) for item in record.history.item}
            found[int(values.pop("_step"))] = {name: value for name, value in values.items() if name[0] != "_"}
    accuracy = {step: {k: v for k, v in values.items() if "accuracy" in k} for step, values in found.items()}
    assert accuracy == {10: {}, **accuracies(whole)}
    assert set(found[10]) == {"loss", "loss/shift", "loss/copy", "learning_rate", "gradient_norm"}


def records(raw: bytes) -> Iterator[bytes]:
    """The records of a LevelDB log with a header of 7 bytes, which is what offline runs are kept in."""
    block, header = 32_768, struct.Struct("<IHB")  # checksum, length, kind: 1 whole, 2 first, 3 middle, 4 last
    at, whole = 7, b""
    while at + header.size <= len(raw):
        if (left := block - at % block) < header.size:
            at += left
            continue
        _, length, kind = header.unpack_from(raw, at)
        at += header.size + length
        whole += raw[at - length : at]
        if kind in (1, 4):
            yield whole
            whole = b""


@pytest.mark.parametrize(
    ("package", "make"), [("tensorboard", TensorBoard), ("wandb", lambda folder: WeightsAndBiases("x", folder=folder))]
)
def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, make: Any
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # what Python does for a package that cannot be imported
    text = (
        f"tracking with {package} needs the package {package}; install it with pip install "
        f"'interp-toolkit\\[{package}\\]'"
    )
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        make(tmp_path)
    assert list(tmp_path.iterdir()) == []
