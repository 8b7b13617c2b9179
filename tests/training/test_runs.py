"""Run folders: how they are found, what is read from them, and every way in which one can be broken."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tasks import BrokenRunError, InvalidValueError, UnknownNameError
from tests.training.tiny import VOCABULARY, tiny_config
from training import list_runs, load_run, train
from training.files import read_json, write_tensors
from training.run_config import FORMAT, ROOT
from training.runs import checkpoint_path, fresh_model

pytestmark = pytest.mark.usefixtures("one_thread")

AGAIN = "remove the folder and train it again"


@pytest.fixture(scope="module")
def trained(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run's folder, to be copied."""
    settings = {"steps": 2, "batch_size": 2}
    return train(tiny_config(train=settings, measure={"checkpoints": 2}), tmp_path_factory.mktemp("x") / "run").path


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the runs `first` and, newer, `second`."""
    monkeypatch.chdir(tmp_path)
    for age, name in ((2, "first"), (1, "second")):
        put(trained, ROOT / name, age=age)
    return tmp_path


def put(trained: Path, folder: Path, *, age: int = 0) -> Path:
    """A copy of the run, `age` minutes old."""
    shutil.copytree(trained, folder)
    now = folder.stat().st_mtime
    os.utime(folder / "environment.json", (now - 60 * age, now - 60 * age))  # written when a run is finished
    return folder


def put_study(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "study.json").write_text("{}")
    return folder


def edit(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Changes a run's config.json."""
    file = folder / "config.json"
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


@pytest.mark.parametrize("name", ["first", "runs/first", Path("runs") / "first"])
def test_a_run_is_found_by_name_and_by_path(here: Path, name: str | Path) -> None:
    run = load_run(name)
    assert run.path == Path("runs/first")
    assert run.name == "first"
    assert load_run(here / "runs" / "first").name == "first"


def test_a_run_below_another_folder_is_found(here: Path, trained: Path) -> None:
    put(trained, here / "elsewhere" / "mine")
    assert load_run("mine", root=here / "elsewhere").path == here / "elsewhere" / "mine"
    assert load_run(here / "elsewhere" / "mine").name == str(here / "elsewhere" / "mine")


def test_the_newest_run_is_the_default(here: Path, trained: Path) -> None:
    assert list_runs() == ["first", "second"]
    assert load_run().name == "second"
    put(trained, ROOT / "third")
    assert load_run().name == "third"


def test_a_folder_of_the_working_directory_does_not_hide_a_run(here: Path) -> None:
    (here / "first").mkdir()
    assert load_run("first").path == Path("runs/first")


def test_a_study_stands_for_its_run_with_the_auxiliary(here: Path, trained: Path) -> None:
    folder = put_study(ROOT / "demo")
    for name in ("auxiliary", "alone"):
        put(trained, folder / name)
    assert load_run("demo").name == load_run().name == "demo/auxiliary"
    assert load_run("demo/alone").name == "demo/alone"


@pytest.mark.parametrize("begun", [False, True])
def test_a_study_without_that_run_is_not_finished(here: Path, begun: bool) -> None:
    folder = put_study(ROOT / "demo")
    if begun:
        (folder / "auxiliary.partial").mkdir()
    text = "run 'demo/auxiliary' is not finished; start the command that trains it once more, and it goes on"
    with pytest.raises(BrokenRunError, match=f"^{text}$"):
        load_run("demo")
    assert load_run().name == "second"  # what is not finished is not the newest run


def test_unfinished_runs_are_not_listed_nor_loaded(here: Path) -> None:
    (ROOT / "second").rename(ROOT / "second.partial")
    assert list_runs() == ["first"]
    for name in ("second", "second.partial", "runs/second.partial"):
        text = f"run {name!r} is not finished; start the command that trains it once more, and it goes on"
        with pytest.raises(BrokenRunError, match=f"^{re.escape(text)}$"):
            load_run(name)


def test_unknown_run(here: Path) -> None:
    with pytest.raises(
        UnknownNameError, match="^unknown run 'secnd'; did you mean 'second'? .*first, second$".replace("?", "[?]")
    ):
        load_run("secnd")


def test_no_run_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        BrokenRunError, match="^there is no run under 'runs'; 'interp demo' or 'interp train' makes one$"
    ):
        load_run()
    with pytest.raises(UnknownNameError, match="^unknown run 'x'; 'runs' has no run at all; 'interp demo' makes one$"):
        load_run("x")


@pytest.mark.parametrize("name", ["docs", ".", ""])
def test_a_folder_that_is_no_run_is_not_called_a_broken_one(here: Path, name: str) -> None:
    (here / "docs").mkdir()
    text = f"^'{re.escape(name or '.')}' holds no run: config.json is missing; 'runs' has first, second$"
    with pytest.raises(BrokenRunError, match=text):
        load_run(name)


def test_a_name_that_no_file_can_have(here: Path) -> None:
    with pytest.raises(BrokenRunError, match="^run 'xxx.*' cannot be read: File name too long; 'runs' has first, sec"):
        load_run("x" * 300)


def test_every_checkpoint_is_read_back(here: Path) -> None:
    run = load_run("first")
    assert run.steps == [1, 2]
    models = {(step, kind): run.model(step, weights=kind) for step in run.steps for kind in ("raw", "averaged")}
    digests = {(step, kind): run.digest(step, weights=kind) for step in run.steps for kind in ("raw", "averaged")}
    assert len({model.W_E.sum().item() for model in models.values()}) == 4
    assert len(set(digests.values())) == 4
    assert torch.equal(run.model().W_E, models[2, "averaged"].W_E)
    assert run.digest() == digests[2, "averaged"]
    assert not run.model().training


def test_steps_beyond_seven_digits_are_read(here: Path) -> None:
    path = checkpoint_path(ROOT / "first", 2, "averaged")
    path.rename(checkpoint_path(ROOT / "first", 123_456_789, "averaged"))
    assert load_run("first").steps == [1, 123_456_789]


def test_initial_weights_depend_on_the_seed_alone() -> None:
    first, again, other = (fresh_model(tiny_config(seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(first.W_E, again.W_E)
    assert not torch.equal(first.W_E, other.W_E)


def test_a_step_without_checkpoint(here: Path) -> None:
    with pytest.raises(InvalidValueError, match="^run 'first' has no checkpoint of step 7; it has 1, 2$"):
        load_run("first").model(7)
    with pytest.raises(InvalidValueError, match="^run 'first' has no checkpoint of step 7; it has 1, 2$"):
        load_run("first").digest(7)


def test_tasks_of_a_run_speak_its_vocabulary(here: Path) -> None:
    run = load_run("first")
    assert [member.task.name for member in run.mixture] == ["shift", "copy"]
    assert run.task("shift") == run.mixture[0].task
    assert run.task("shift").vocabulary == VOCABULARY
    assert run.task_head("copy") == 0


def test_a_task_that_the_run_was_not_trained_on(here: Path) -> None:
    run = load_run("first")
    with pytest.raises(
        UnknownNameError, match="^unknown task 'shft'; did you mean 'shift'[?] 'interp tasks' lists all"
    ):
        run.task("shft")
    # It has no word of its own in the vocabulary, with whatever alphabet and case.
    with pytest.raises(
        InvalidValueError, match="^the vocabulary lacks 'e', which task 'reverse' needs; it has a b c d"
    ):
        run.task("reverse")
    with pytest.raises(InvalidValueError, match="^the vocabulary lacks 'e', which task 'capitalize' needs; it has a b"):
        run.task("capitalize")


def test_a_task_with_no_unembedding_of_its_own(here: Path) -> None:
    edit(ROOT / "first", lambda values: values["config"]["model"].update(task_heads=2))  # pyright: ignore[reportIndexIssue]
    run = load_run("first")
    assert run.task_head("copy") == 1
    text = "the run has an unembedding for each of shift, copy, and none for 'reverse'; choose one of those"
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        run.task_head("reverse")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("metrics.parquet", lambda run: run.metrics),
        ("checkpoints/step-0000002.averaged.safetensors", lambda run: run.model()),
        ("checkpoints/step-0000002.safetensors", lambda run: run.model(weights="raw")),
    ],
)
def test_damaged_files(here: Path, name: str, read: Callable[[object], object]) -> None:
    path = ROOT / "first" / name
    whole = path.read_bytes()
    text = f"^{re.escape(repr(str(path)))} is damaged .*; {AGAIN}$"
    for content in (whole[:-1], whole[: len(whole) // 2], whole[:9], whole[:3], b"", b"\x00" * 99, b"nonsense" * 9):
        path.write_bytes(content)
        with pytest.raises(BrokenRunError, match=text):
            read(load_run("first"))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("metrics.parquet", lambda run: run.metrics),
        ("checkpoints/step-0000002.safetensors", lambda run: run.model(weights="raw")),
        ("checkpoints/step-0000002.safetensors", lambda run: run.digest(weights="raw")),
    ],
)
def test_missing_files(here: Path, name: str, read: Callable[[object], object]) -> None:
    path = ROOT / "first" / name
    path.unlink()
    with pytest.raises(
        BrokenRunError, match=f"^{re.escape(repr(str(path)))} is missing: the run is not whole; {AGAIN}$"
    ):
        read(load_run("first"))


@pytest.mark.parametrize("read", [lambda run: run.model(), lambda run: run.digest()])
def test_no_checkpoint_at_all(here: Path, read: Callable[[object], object]) -> None:
    shutil.rmtree(ROOT / "first" / "checkpoints")
    with pytest.raises(BrokenRunError, match=f"^run 'first' has no checkpoint; {AGAIN}$"):
        read(load_run("first"))


@pytest.mark.parametrize(
    "tensors",
    [{}, {"embed.W_E": torch.zeros(3)}, {"unknown": torch.zeros(2)}],
    ids=["none", "other shape", "other name"],
)
def test_weights_of_another_model(here: Path, tensors: dict[str, torch.Tensor]) -> None:
    path = checkpoint_path(ROOT / "first", 2, "averaged")
    write_tensors(path, tensors)
    text = f"^{re.escape(repr(str(path)))} does not fit its configuration [(].*[)]; {AGAIN}$"
    with pytest.raises(BrokenRunError, match=text):
        load_run("first").model()


@pytest.mark.parametrize("content", ["", "{", '{"format": 1, "con', "\x00"])
def test_config_cut_off(here: Path, content: str) -> None:
    path = ROOT / "first" / "config.json"
    path.write_text(content)
    with pytest.raises(BrokenRunError, match=f"^{re.escape(repr(str(path)))} cannot be read .*; {AGAIN}$"):
        load_run("first")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda values: values.clear(), f"run 'first': config.json is not that of a run; {AGAIN}"),
        (lambda values: values.update(format="1"), f"run 'first': config.json is not that of a run; {AGAIN}"),
        (lambda values: values.update(config=3), f"run 'first': config.json is not that of a run; {AGAIN}"),
        (lambda values: values.update(tasks=[]), f"run 'first': config.json is not that of a run; {AGAIN}"),
        (
            lambda values: values["config"].pop("model"),
            f"run 'first': config.json is not that of a run (config key 'model' is missing; it must be given); {AGAIN}",
        ),
        (
            lambda values: values["config"]["mixture"][0].update(task="shft"),
            "run 'first': its tasks cannot be made (unknown task 'shft'; did you mean 'shift'? ",
        ),
        (
            lambda values: values["config"]["train"].update(stepz=3),
            "run 'first': config.json is not that of a run (unknown config key 'stepz'; did you mean 'steps'? ",
        ),
        (
            lambda values: values.update(format=FORMAT + 1),
            (
                f"run 'first' was written by a newer version (format {FORMAT + 1}, this one reads up to {FORMAT}); "
                "upgrade, or train it again"
            ),
        ),
        (
            lambda values: values["tasks"].update(shift=0),
            (
                "run 'first' was trained on version 0 of task 'shift', which is now version 1 and generates other "
                "examples; train it again"
            ),
        ),
        (
            lambda values: values["tasks"].pop("shift"),
            (
                "run 'first' was trained on version None of task 'shift', which is now version 1 and generates other "
                "examples; train it again"
            ),
        ),
    ],
)
def test_config_of_something_else(here: Path, change: Callable[[dict[str, object]], object], text: str) -> None:
    edit(ROOT / "first", change)
    with pytest.raises(BrokenRunError, match=f"^{re.escape(text)}"):
        load_run("first")


def test_a_run_of_format_1_is_read_in_todays_words(here: Path) -> None:
    path = ROOT / "first" / "config.json"
    values = read_json(path)
    values["config"]["optimizer"] = values["config"].pop("train") | {"buckets": 4}
    path.write_text(json.dumps(values | {"format": 1}))
    assert load_run("first").config.train.steps == 2
