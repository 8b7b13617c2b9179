"""What training refuses or stops at: diverging losses, places that cannot be written, full disks, long examples."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import training.files
from tasks import InvalidValueError
from tests.training.tiny import files, numbers, stop_at, tiny_config
from training import Run, train
from training.files import read_tensors, write_json
from training.loop import token_losses

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
GO_ON = "mend that and start the same command again: it goes on from step 4"


def fail_from(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of that step and of all later ones is not a number."""
    calls: list[int] = []

    def losses(model: Any, examples: Any) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(1)
        nll, task = token_losses(model, examples)
        return nll * (float("nan") if len(calls) >= step else 1.0), task

    monkeypatch.setattr(sys.modules["training.loop"], "token_losses", losses)


def test_a_loss_that_is_no_number_names_what_to_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_from(3, monkeypatch)
    text = (
        "the loss is no longer a number at step 3, whose examples were 4 of shift (loss nan), 4 of copy (loss nan); "
        "lower train.learning_rate (0.01) or train.clip (1.0)"
    )
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        train(tiny_config(), tmp_path / "run")
    assert files(tmp_path) == {}


def test_a_loss_that_is_no_number_leaves_the_checkpoints_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_from(11, monkeypatch)
    text = (
        "the loss is no longer a number at step 11, whose examples were 2 of shift (loss nan), 6 of copy (loss nan); "
        "lower train.learning_rate (0.01) or train.clip (1.0), "
        f"and choose another name: step 8 is kept in {str(tmp_path / 'run.partial')!r}"
    )
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        train(tiny_config(), tmp_path / "run")
    last = read_tensors(tmp_path / "run.partial" / "checkpoints" / "step-0000008.safetensors")
    assert all(tensor.isfinite().all() for tensor in last.values())


def test_an_exploding_run_really_gives_that_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="^the loss is no longer a number at step"):
        train(tiny_config(train={"learning_rate": 1e30, "warmup": 0}), tmp_path / "run")


def test_a_place_that_cannot_be_written_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, text in (
        (tmp_path / "file", f"{str(tmp_path / 'file')!r} is a file, where the run's folder should be; choose another"),
        (tmp_path / "file" / "run", f"cannot write {str(tmp_path / 'file' / 'run.partial')!r}: .*; choose another"),
        (Path("/proc/run"), "cannot write '/proc/run.partial': .*; choose another place"),
        (tmp_path / ("x" * 300), "cannot write '.*xxx': File name too long; choose another place"),
        (tmp_path / "x.partial", ".* ends in '.partial', which marks unfinished runs; choose another name"),
    ):
        with pytest.raises(InvalidValueError, match=f"^{text}"):
            train(tiny_config(), path, on_step=stop_at(1))
    assert files(tmp_path) == {"file": b""}


def test_a_disk_that_fills_up_is_told_and_the_run_goes_on_later(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = training.files.save_file

    def full(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if "step-0000008" in path.name:
            raise OSError(28, "No space left on device")
        save(tensors, path)

    monkeypatch.setattr(training.files, "save_file", full)
    with pytest.raises(
        InvalidValueError, match=f"^cannot write '.*step-0000008.safetensors': No space left on device; {GO_ON}$"
    ):
        train(whole.config, tmp_path / "run")
    monkeypatch.undo()
    train(whole.config, tmp_path / "run")
    assert numbers(tmp_path / "run") == numbers(whole.path)


def test_lengths_that_no_task_has_are_refused_before_training(tmp_path: Path) -> None:
    text = "length 5000 is not possible for task 'shift'; allowed are 1 to 4096"
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        train(tiny_config(measure={"lengths": [2, 5000]}), tmp_path / "run", on_step=stop_at(1))
    assert files(tmp_path) == {}


LIMITED = """
import resource, signal, sys
from pathlib import Path
from training import TrainConfig, train
from training.files import read_json
from tasks import InvalidValueError
import torch
torch.set_num_threads(1)
config, path, megabytes = TrainConfig.read(read_json(Path(sys.argv[1]))), sys.argv[2], int(sys.argv[3])
def limit(progress):
    if progress.step == 5:  # from here on no file can grow beyond this, as on a disk without room
        resource.setrlimit(resource.RLIMIT_FSIZE, (megabytes, megabytes))
try:
    train(config, path, on_step=limit)
except InvalidValueError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", [100, 4000, 12_000], ids=["nothing fits", "tables fit", "weights fit"])
def test_files_that_really_cannot_grow_cost_one_checkpoint(whole: Run, tmp_path: Path, size: int) -> None:
    write_json(tmp_path / "config.json", whole.config.model_dump(mode="json"))
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "config.json"), str(tmp_path / "run"), str(size)]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300).stdout
    assert re.fullmatch(f"cannot write '.*': .*{re.escape(GO_ON)}\n", shown)
    assert not (tmp_path / "run").exists()
    train(whole.config, tmp_path / "run")
    assert numbers(tmp_path / "run") == numbers(whole.path)


def test_a_disk_without_room_for_the_checkpoints_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.keeping.shutil.disk_usage", lambda path: SimpleNamespace(free=20_000))
    # 1 layer of 16: W_E, W_U 16 * 8 each; attention 4 * 16 * 16; MLP 3 * 16 * 16; norms 3 * 16: 2,096 numbers.
    # Two kinds of weights at three checkpoints, 4 bytes each: 50,304; and a state beside an old one, 67,072.
    text = (
        "'.*/run.partial' needs about 0.00012 GB for 3 checkpoints, and the disk has 2e-05 GB left; make room, choose "
        "another place, keep fewer [(]measure.checkpoints[)], or halve them [(]measure.storage = 'bfloat16'[)]"
    )
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        train(tiny_config(), tmp_path / "run")
    assert files(tmp_path) == {}


def learned(n_ctx: int) -> dict[str, object]:
    return {"positions": "learned", "n_ctx": n_ctx}


def test_examples_beyond_a_learned_position_table_are_refused_before_training(tmp_path: Path) -> None:
    # copy at length 7: marker, 7 letters, =, 7 letters; [EOS] is predicted, not read: 16 tokens.
    text = (
        "shift at length 7 has 16 tokens, but the learned position table has 15; set model.n_ctx to 16 or more, use "
        "shorter examples, or positions 'rotary' or 'none', which run at any length"
    )
    measured = {"lengths": [2, 7], "checkpoints": 1}
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        train(tiny_config(model=learned(15), measure=measured), tmp_path / "run")
    assert files(tmp_path) == {}
    train(tiny_config(model=learned(16), measure=measured, train={"steps": 1}), tmp_path / "run")


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    for device in ("cuda:99", "abacus"):
        with pytest.raises(
            InvalidValueError, match=f"^device '{device}' cannot be used [(].*[)]; 'cpu' is always there$"
        ):
            train(tiny_config(), tmp_path / "run", device=device)
    assert files(tmp_path) == {}
