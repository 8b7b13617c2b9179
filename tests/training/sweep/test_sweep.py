"""A sweep in this process: what it trains, leaves alone and takes up again, and the tables that come of it."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks import BrokenRunError, InterpError, InvalidValueError
from tests.training.sweep.quick import PRESET, Notes, quick_grid
from tests.training.tiny import numbers
from training import Grid, Progress, Serial, Watcher, list_runs, load_run, run_sweep
from training.files import read_json, read_table
from training.sweep import Cell, Job
from training.sweep.sweep import cell_states

pytestmark = pytest.mark.usefixtures("one_thread")

AXES = {"seed": [1, 2], "main_length": [2, 3]}


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    return quick_grid(tmp_path_factory.mktemp("preset"), axes=AXES)


@pytest.fixture(scope="module")
def swept(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the finished sweep."""
    return run_sweep(grid, tmp_path_factory.mktemp("swept") / "runs" / "quick").folder


@pytest.fixture
def copied(swept: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(swept, tmp_path / "runs" / "quick"))


def names(grid: Grid) -> list[str]:
    return [cell.name for cell in grid.cells()]


# --------------------------------------------------------------------------------------------------------- the folder
def test_folder_holds_the_grid_a_run_per_cell_and_two_tables(grid: Grid, swept: Path) -> None:
    tables = ["cells.parquet", "results.parquet"]
    assert sorted(path.name for path in swept.iterdir()) == sorted([*names(grid), *tables, "sweep.json"])
    assert Grid.read(read_json(swept / "sweep.json")["grid"]) == grid
    for cell in grid.cells():
        assert load_run(swept / cell.name).config == cell.config


def test_tables_name_each_cell_by_its_axes(grid: Grid, swept: Path) -> None:
    results, cells = read_table(swept / "results.parquet"), read_table(swept / "cells.parquet")
    assert list(cells) == ["seed", "main_length", "run", "status", "error"]
    assert list(zip(cells["seed"], cells["main_length"], strict=True)) == [(1, 2), (1, 3), (2, 2), (2, 3)]
    assert set(cells["status"]) == {"finished"}
    assert set(cells["error"]) == {""}
    assert list(results)[:4] == ["seed", "main_length", "run", "step"]
    seen = 0
    for (_, cell), name in zip(cells.iterrows(), names(grid), strict=True):
        rows = results[(results["seed"] == cell["seed"]) & (results["main_length"] == cell["main_length"])]
        assert set(rows["run"]) == {cell["run"]} == {(swept / name).as_posix()}
        own = load_run(swept / name).metrics
        pd.testing.assert_frame_equal(rows[list(own)].reset_index(drop=True), own)
        seen += len(own)
    assert len(results) == seen


def test_a_cell_is_a_run_like_any_other_and_the_sweep_is_none(
    grid: Grid, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied.parents[1])
    cells = sorted(f"quick/{name}" for name in names(grid))
    assert sorted(list_runs()) == cells
    assert [load_run(name).name for name in cells] == cells
    assert load_run().name in cells
    with pytest.raises(BrokenRunError) as caught:
        load_run("quick")
    assert str(caught.value) == (f"'runs/quick' holds a sweep, not a single run; name one of its 4, as in {cells[0]!r}")
    for name in names(grid):
        (copied / name).rename(copied / f"{name}.partial")
    assert list_runs() == []
    with pytest.raises(
        BrokenRunError, match="^'runs/quick' holds a sweep, not a single run; and none is finished yet$"
    ):
        load_run("quick")
    with pytest.raises(BrokenRunError, match="is not finished; start the command that trains it once more"):
        load_run(cells[0])


# ----------------------------------------------------------------------------------------------- what is trained again
def test_finished_cells_are_not_trained_again(grid: Grid, copied: Path) -> None:
    def refuse(jobs: Sequence[Job], watcher: Watcher) -> None:
        raise AssertionError("there is nothing to train")

    run_sweep(grid, copied, engine=refuse)  # the tables name the runs where they are now
    notes, before = Notes(), numbers(copied)
    run_sweep(grid, copied, engine=refuse, watcher=notes)
    assert (notes.starts, notes.ends) == ([], [(name, "") for name in names(grid)])
    assert numbers(copied) == before


def test_a_grid_may_grow_and_shrink(grid: Grid, copied: Path, tmp_path: Path) -> None:
    notes = Notes()
    larger = quick_grid(tmp_path, axes={**AXES, "condition": ["auxiliary", "alone"]})
    result = run_sweep(larger, copied, watcher=notes)
    alone = [cell.name for cell in larger.cells() if cell.values["condition"] == "alone"]
    assert notes.starts == alone
    assert set(alone).isdisjoint(names(grid))
    assert (len(result.status), result.table["run"].nunique()) == (8, 8)
    smaller = run_sweep(quick_grid(tmp_path, axes={"seed": [1]}, fixed={"main_length": 2}), copied, watcher=notes)
    assert len(smaller.status) == 1
    assert notes.starts == alone
    assert len([path for path in copied.iterdir() if path.is_dir()]) == 8


def test_cells_of_one_configuration_are_one_run(tmp_path: Path) -> None:
    (tmp_path / "same.toml").write_text(PRESET)
    grid = quick_grid(tmp_path, axes={"preset": [str(tmp_path / "quick.toml"), str(tmp_path / "same.toml")]})
    notes = Notes()
    result = run_sweep(grid, tmp_path / "sweep", watcher=notes)
    assert len(notes.starts) == len(notes.ends) == 1
    assert list(result.status["status"]) == ["finished", "finished"]
    assert result.status["run"].nunique() == 1
    first, second = (result.table[result.table["preset"] == name] for name in grid.axes["preset"])
    pd.testing.assert_frame_equal(
        first.drop(columns="preset").reset_index(drop=True), second.drop(columns="preset").reset_index(drop=True)
    )


def test_an_interrupted_sweep_goes_on_to_the_same_end(grid: Grid, swept: Path, tmp_path: Path) -> None:
    class Interrupting(Watcher):
        def progressed(self, name: str, progress: Progress) -> None:
            if name == names(grid)[1] and progress.step == 10:
                raise KeyboardInterrupt

    folder, notes = tmp_path / "sweep", Notes()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(grid, folder, watcher=Interrupting())
    assert cell_states(grid.cells(), folder) == ["finished", "interrupted", "waiting", "waiting"]
    assert not (folder / "results.parquet").exists()
    run_sweep(grid, folder, watcher=notes)
    assert notes.starts == names(grid)[1:]
    assert [progress.step for name, progress in notes.steps if name == names(grid)[1]] == [9, 10, 11, 12]
    assert cell_states(grid.cells(), folder) == ["finished"] * 4
    for name in names(grid):
        assert numbers(folder / name) == numbers(swept / name)
    columns = ["seed", "main_length", "step", "weights", "task", "length", "accuracy", "nll"]
    ours, theirs = (read_table(place / "results.parquet")[columns] for place in (folder, swept))
    pd.testing.assert_frame_equal(ours, theirs)


# ------------------------------------------------------------------------------------------------------ what goes wrong
def test_a_failing_cell_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    grid = quick_grid(tmp_path, axes={"train.learning_rate": [1e30, 1e-2]}, fixed={"train.clip": 1e30})
    bad, good = names(grid)
    notes = Notes()
    result = run_sweep(grid, tmp_path / "sweep", watcher=notes)
    assert [name for name, _ in notes.ends] == [bad, good]
    assert list(result.status["status"]) == ["failed", "finished"]
    assert result.status["error"][0].startswith("the loss is no longer a number at step ")
    assert result.status["error"][1] == ""
    assert set(result.table["train.learning_rate"]) == {1e-2}
    assert cell_states(grid.cells(), result.folder) == ["waiting", "finished"]
    run_sweep(grid, tmp_path / "sweep", watcher=notes)
    assert notes.starts == [bad, good, bad]  # what failed is tried again


def test_damaged_runs_are_told_and_left_as_they_are(grid: Grid, copied: Path) -> None:
    first, second, third, _ = names(grid)
    (copied / first / "config.json").write_text("{")
    (copied / second / "metrics.parquet").write_bytes(b"half a table")
    shutil.rmtree(copied / third)
    (copied / third).write_text("a file")
    result = run_sweep(grid, copied)
    assert list(result.status["status"]) == ["failed", "failed", "failed", "finished"]
    texts = [
        "config.json' cannot be read",
        "metrics.parquet' is damaged",
        "is a file, where the run's folder should be",
    ]
    assert all(text in error for text, error in zip(texts, result.status["error"], strict=False))
    assert result.table["run"].nunique() == 1


def test_a_defect_costs_its_cell_and_is_told_as_one(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours\nin two lines")

    monkeypatch.setattr("training.sweep.engine.train", fail)
    result = run_sweep(grid, tmp_path / "sweep")
    assert set(result.status["error"]) == {"a defect: ZeroDivisionError: ours in two lines"}
    assert result.table.empty
    assert list(read_table(tmp_path / "sweep" / "results.parquet"))[:4] == ["seed", "main_length", "run", "step"]


def test_impossible_cells_have_a_row_of_their_own(tmp_path: Path) -> None:
    grid = quick_grid(tmp_path, axes={"model.n_heads": [2, 3], "model.d_model": [16, 12]}, impossible="skip")
    result = run_sweep(grid, tmp_path / "sweep")
    assert list(result.status["status"]) == ["finished", "finished", "impossible", "finished"]
    assert result.status["run"][2] == ""
    assert result.status["error"][2].startswith("d_model 16 is not divisible by n_heads 3")
    assert cell_states(result.cells, result.folder)[2] == "impossible"


def test_axes_of_several_kinds_are_written_as_text(tmp_path: Path) -> None:
    axes: dict[str, Any] = {"measure.checkpoints": [1, [2, 12]], "train.clip": [1, 0.5]}
    result = run_sweep(quick_grid(tmp_path, axes=axes), tmp_path / "sweep")
    table = read_table(tmp_path / "sweep" / "results.parquet")
    assert set(table["measure.checkpoints"]) == {"1", "[2, 12]"}
    assert set(table["train.clip"]) == {1.0, 0.5}
    pd.testing.assert_frame_equal(table, result.table)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config.json", "'.*x' holds a run, not a sweep; choose another name"),
        ("study.json", "'.*x' holds a study, not a sweep; choose another name"),
    ],
)
def test_folders_that_hold_something_else(grid: Grid, tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / file).touch()
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        run_sweep(grid, tmp_path / "x")
    assert [path.name for path in (tmp_path / "x").iterdir()] == [file]


def test_places_where_no_sweep_can_be(grid: Grid, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidValueError, match="^cannot write '.*sweep.json': .*; choose another place$"):
        run_sweep(grid, tmp_path / "file" / "sweep")
    with pytest.raises(InvalidValueError, match="ends in '.partial', which marks unfinished runs; choose another name"):
        run_sweep(grid, tmp_path / "x.partial")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_engine_that_cannot_work_leaves_nothing_behind(grid: Grid, tmp_path: Path) -> None:
    def refuse(jobs: Sequence[Job], watcher: Watcher) -> None:
        raise InterpError("no cluster")

    with pytest.raises(InterpError, match="^no cluster$"):
        run_sweep(grid, tmp_path / "sweep", engine=refuse)
    assert list(tmp_path.iterdir()) == []


def test_threads_are_restored_and_none_is_refused(grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[int] = []
    monkeypatch.setattr("torch.set_num_threads", set_to.append)
    run_sweep(quick_grid(tmp_path, axes={"seed": [1]}), tmp_path / "sweep", engine=Serial(threads=3))
    assert set_to == [3, 1]
    with pytest.raises(InvalidValueError, match="^threads = 0; allowed is 1 or more$"):
        Serial(threads=0)


def test_a_cell_without_a_configuration_has_no_name() -> None:
    assert (Cell({"seed": 1}).name, Cell({"seed": 1}).title) == ("", "seed = 1")
