"""Training: what it learns, that it is reproducible to the bit however often it is stopped, and what it refuses."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import training.files
from tasks import BrokenRunError, InvalidValueError
from tests.training.tiny import COPY, files, numbers, tiny_config
from training import Progress, Run, TrainConfig, load_run, train
from training.config import MeasureConfig
from training.files import read_tensors, write_json
from training.loop import token_losses
from training.mixture import draw_buckets
from training.randomness import named_generator
from training.run_config import mixture_of
from training.runs import fresh_model
from training.train import _kept_steps

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]


class StopError(Exception):
    """What the user's own code raises in `on_step`."""


def stop_at(step: int) -> Callable[[Progress], None]:
    def on_step(progress: Progress) -> None:
        if progress.step == step:
            raise StopError

    return on_step


@pytest.fixture(scope="module")
def whole(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The tiny run, never interrupted."""
    return train(tiny_config(), tmp_path_factory.mktemp("whole") / "run")


def test_the_folder_holds_what_it_should(whole: Run) -> None:
    steps = [f"checkpoints/step-{step:07d}{kind}.safetensors" for step in (4, 8, 12) for kind in (".averaged", "")]
    assert sorted(files(whole.path)) == sorted(["config.json", "environment.json", "metrics.parquet", *steps])
    assert [path.name for path in whole.path.parent.iterdir()] == ["run"], "no lock and nothing unfinished beside it"
    assert whole.steps == [4, 8, 12]
    environment = json.loads((whole.path / "environment.json").read_text())
    assert environment["torch"] == torch.__version__
    assert environment["threads"] == 1


def test_metrics_have_a_row_for_each_step_weights_task_and_length(whole: Run) -> None:
    metrics = whole.metrics
    columns = ["step", "weights", "task", "length", "n", "accuracy", "stderr", "token_accuracy", "nll"]
    assert list(metrics) == [*columns, "loss", "learning_rate", "gradient_norm"]
    keys = [(s, w, t, n) for s in (4, 8, 12) for w in ("raw", "averaged") for t in ("shift", "copy") for n in (2, 4)]
    assert list(metrics[["step", "weights", "task", "length"]].itertuples(index=False, name=None)) == keys
    assert (metrics["n"] == 8).all()
    assert metrics.drop(columns=["weights", "task"]).notna().to_numpy().all()


def test_averaged_weights_stand_beside_the_raw_ones(whole: Run) -> None:
    raw, averaged = (dict(whole.model(weights=kind).named_parameters()) for kind in ("raw", "averaged"))
    assert raw.keys() == averaged.keys()
    assert all(not torch.equal(raw[name], averaged[name]) for name in raw)
    nll = whole.metrics.pivot_table(index=["step", "task", "length"], columns="weights", values="nll")
    assert (nll["raw"] != nll["averaged"]).all()


def test_loss_falls(tmp_path: Path) -> None:
    losses: list[float] = []
    config = tiny_config(mixture=[COPY], train={"steps": 60, "batch_size": 32}, measure={"n": 1})
    train(config, tmp_path / "run", on_step=lambda progress: losses.append(progress.loss))
    assert len(losses) == 60
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_progress_is_told_after_every_step(tmp_path: Path) -> None:
    told: list[Progress] = []
    train(tiny_config(), tmp_path / "run", on_step=told.append)
    assert [(progress.step, progress.steps) for progress in told] == [(step, 12) for step in range(1, 13)]


@pytest.mark.parametrize("draw", ["example", "batch"])
def test_same_configuration_same_bytes_another_seed_others(tmp_path: Path, draw: str) -> None:
    runs = {
        name: train(tiny_config(seed=seed, train={"draw": draw}), tmp_path / name).path
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    }
    assert numbers(runs["first"]) == numbers(runs["again"])
    same = [name for name, content in numbers(runs["first"]).items() if numbers(runs["other"])[name] == content]
    assert same == []


def test_a_finished_run_is_found_and_not_trained_again(whole: Run) -> None:
    before = files(whole.path)
    found = train(whole.config, whole.path, on_step=stop_at(1))
    assert found.config == whole.config
    assert files(whole.path) == before


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
import os, signal, sys, time
import torch
torch.set_num_threads(1)
from training import TrainConfig, train
from training.files import read_json
from pathlib import Path

config, path = TrainConfig.read(read_json(Path(sys.argv[1]))), sys.argv[2]
kills = 0
for steps, delay in ((1, 0.0), (4, 0.0), (4, 0.002), (3, 0.004), (1, 0.008), (2, 0.001), (5, 0.006), (30, 0.0)):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        train(config, path, on_step=lambda progress: os.write(write, b"."))
        os._exit(0)
    os.close(write)
    for _ in range(steps):
        os.read(read, 1)  # nothing comes any more once the child has ended
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    kills += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    os.close(read)
print("killed", kills)
train(config, path)
"""


@pytest.mark.slow
def test_a_killed_process_continued_equals_never_stopped(whole: Run, tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", whole.config.model_dump(mode="json"))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "config.json"), str(tmp_path / "run")]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=600)
    assert int(shown.stdout.split()[-1]) >= 4
    assert numbers(tmp_path / "run") == numbers(whole.path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "run"]


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


def fail_from(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of that step and of all later ones is not a number."""
    calls: list[int] = []

    def losses(model: Any, bucket: Any) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(1)
        nll, task = token_losses(model, bucket)
        return nll * (float("nan") if len(calls) > 2 * (step - 1) else 1.0), task  # two buckets a step

    monkeypatch.setattr(sys.modules["training.loop"], "token_losses", losses)


def test_a_loss_that_is_no_number_names_what_to_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_from(3, monkeypatch)
    text = "the loss is no longer a number at step 3; lower train.learning_rate (0.01) or train.clip (1.0)"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        train(tiny_config(), tmp_path / "run")
    assert files(tmp_path) == {}


def test_a_loss_that_is_no_number_leaves_the_checkpoints_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_from(11, monkeypatch)
    text = (
        "the loss is no longer a number at step 11; lower train.learning_rate (0.01) or train.clip (1.0), "
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
    with pytest.raises(InvalidValueError, match="^cannot write '.*': No space left on device; choose another place$"):
        train(whole.config, tmp_path / "run")
    monkeypatch.undo()
    train(whole.config, tmp_path / "run")
    assert numbers(tmp_path / "run") == numbers(whole.path)


def test_lengths_that_no_task_has_are_refused_before_training(tmp_path: Path) -> None:
    text = "length 5000 is not possible for task 'shift'; allowed are 1 to 4096"
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        train(tiny_config(measure={"lengths": [2, 5000]}), tmp_path / "run", on_step=stop_at(1))
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    ("steps", "checkpoints", "kept"),
    [(12, 3, {4, 8, 12}), (10, 3, {3, 7, 10}), (2, 20, {1, 2}), (7, 1, {7}), (1, 1, {1})],
)
def test_checkpoints_are_equally_spaced_and_end_at_the_end(steps: int, checkpoints: int, kept: set[int]) -> None:
    assert _kept_steps(steps, MeasureConfig(checkpoints=checkpoints)) == kept


@pytest.mark.parametrize(
    ("steps", "checkpoints", "kept"),
    # 1000^(k/3) = 10, 100, 1000; 100^(k/8) = 1.8, 3.2, 5.6, 10, 17.8, 31.6, 56.2, 100; 4^(k/4) = 1.4, 2, 2.8, 4.
    [(1000, 3, {10, 100, 1000}), (100, 8, {2, 3, 6, 10, 18, 32, 56, 100}), (4, 9, {1, 2, 3, 4}), (7, 1, {7})],
)
def test_checkpoints_spaced_by_equal_factors(steps: int, checkpoints: int, kept: set[int]) -> None:
    assert _kept_steps(steps, MeasureConfig(checkpoints=checkpoints, spacing="log")) == kept


def test_chosen_checkpoints_need_no_spacing() -> None:
    assert _kept_steps(9, MeasureConfig(checkpoints=(2, 5), spacing="log")) == {2, 5, 9}


def test_lengths_measured_are_the_trained_ones_unless_given(tmp_path: Path) -> None:
    run = train(tiny_config(train={"steps": 1}, measure={"lengths": [], "checkpoints": 1}), tmp_path / "run")
    assert sorted(set(run.metrics["length"])) == [3, 5]


def heads_config() -> TrainConfig:
    return tiny_config(model={"task_heads": 2})


def test_every_task_trains_its_own_unembedding(tmp_path: Path) -> None:
    run = train(heads_config(), tmp_path / "run")
    assert [run.task_head(name) for name in ("shift", "copy")] == [0, 1]
    moved = (run.model(weights="raw").W_U - fresh_model(run.config).W_U).abs().amax(dim=(1, 2))
    assert (moved > 1e-3).all()


def test_losses_of_separate_unembeddings_by_hand() -> None:
    config = heads_config()
    model = fresh_model(config)
    (bucket,) = draw_buckets(mixture_of(config), n=16, buckets=1, generator=named_generator(0, "x"))
    losses, task = token_losses(model, bucket)
    expected: dict[int, list[float]] = {0: [], 1: []}
    for row, scored, place in zip(bucket.batch.tokens, bucket.batch.scored, bucket.task.tolist(), strict=True):
        logits = model(row[None], task=place)[0].log_softmax(dim=-1)
        positions = scored.nonzero()[:, 0]
        expected[place] += (-logits[positions - 1, row[positions]]).tolist()
    for place, values in expected.items():
        assert losses[task == place].tolist() == pytest.approx(values, rel=1e-5)


def test_loss_is_the_mean_over_the_scored_tokens_since_the_last_checkpoint(tmp_path: Path) -> None:
    told: list[float] = []
    config = tiny_config(mixture=[COPY])
    run = train(config, tmp_path / "run", on_step=lambda progress: told.append(progress.loss))
    counts = []
    for step in range(12):
        generator = named_generator(0, "train", step)
        buckets = draw_buckets(mixture_of(config), n=8, buckets=2, generator=generator)
        counts.append(sum(int(bucket.batch.scored.sum()) for bucket in buckets))
    for first, step in ((0, 4), (4, 8), (8, 12)):
        loss = run.metrics.loc[run.metrics["step"] == step, "loss"].iloc[0]
        part = slice(first, step)
        weighted = sum(loss * count for loss, count in zip(told[part], counts[part], strict=True))
        assert loss == pytest.approx(weighted / sum(counts[part]), rel=1e-5)


def test_a_task_that_was_not_drawn_has_no_loss(tmp_path: Path) -> None:
    run = train(tiny_config(train={"draw": "batch", "steps": 1}), tmp_path / "run")
    loss = run.metrics.groupby("task")["loss"].first()
    assert sorted(loss.isna()) == [False, True]
    assert (loss.dropna() > 0).all()
