"""Finding sweeps: by path, by name under `runs`, or the one that was started last; and the finished runs of one."""

import os
import shutil
from pathlib import Path

import pytest

from tasks import BrokenRunError, UnknownNameError
from training import Run, list_runs
from training.finding import SWEEP, find_sweep, list_sweeps, sweep_runs


@pytest.fixture
def here(whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the sweeps `early` (no cell yet) and `late` (cells b, a, and c half trained), and a run.

    The names are against the order in time: `late` sorts after `early` only by when it was started.
    """
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    shutil.copytree(whole.path, runs / "single")
    for name, cells in {"z-early": (), "a-late": ("b", "a", "c.partial")}.items():
        for cell in cells:
            shutil.copytree(whole.path, runs / name / cell)
        (runs / name).mkdir(exist_ok=True)
        (runs / name / SWEEP).touch()
    os.utime(runs / "z-early" / SWEEP, ns=(1, 1))
    return tmp_path


def test_sweeps_are_listed_in_the_order_of_their_beginning(here: Path) -> None:
    assert list_sweeps() == ["z-early", "a-late"]
    assert list_sweeps(here / "nothing") == []


def test_a_sweep_is_found_by_name_by_path_and_as_the_newest(here: Path) -> None:
    assert find_sweep() == find_sweep("a-late") == Path("runs/a-late")
    assert find_sweep(here / "runs" / "z-early") == here / "runs" / "z-early"
    assert find_sweep("z-early", here / "runs") == here / "runs" / "z-early"
    os.utime("runs/z-early/sweep.json")  # started once more
    assert find_sweep() == Path("runs/z-early")


def test_a_folder_of_the_working_directory_does_not_hide_a_sweep(here: Path) -> None:
    (here / "a-late").mkdir()
    assert find_sweep("a-late") == Path("runs/a-late")


def test_runs_of_a_sweep_are_those_that_are_finished(here: Path) -> None:
    runs = sweep_runs(find_sweep("a-late"))
    assert [run.name for run in runs] == ["a-late/a", "a-late/b"]
    assert [run.steps for run in runs] == [[4, 8, 12]] * 2
    assert set(list_runs()) == {"single", "a-late/a", "a-late/b"}
    assert sweep_runs(find_sweep("z-early")) == []


def test_a_damaged_run_of_a_sweep_is_told(here: Path) -> None:
    (here / "runs" / "a-late" / "b" / "config.json").write_text("{")
    with pytest.raises(BrokenRunError, match="config.json' cannot be read"):
        sweep_runs(find_sweep())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a-lat", "^unknown sweep 'a-lat'; did you mean 'a-late'[?] 'runs' has z-early, a-late$"),
        ("a-late/absent", "^unknown sweep 'a-late/absent'; .*'runs' has z-early, a-late$"),
    ],
)
def test_names_that_no_sweep_has(here: Path, name: str, text: str) -> None:
    with pytest.raises(UnknownNameError, match=text):
        find_sweep(name)


@pytest.mark.parametrize("name", ["single", "a-late/a"])
def test_a_run_is_no_sweep(here: Path, name: str) -> None:
    text = f"^'runs/{name}' holds no sweep: sweep.json is missing; 'runs' has z-early, a-late$"
    with pytest.raises(BrokenRunError, match=text):
        find_sweep(name)


def test_no_sweep_at_all_and_a_name_that_no_file_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BrokenRunError, match="^there is no sweep under 'runs'; 'interp sweep' makes one$"):
        find_sweep()
    with pytest.raises(UnknownNameError, match="^unknown sweep 'x'; 'runs' has no sweep at all$"):
        find_sweep("x")
    with pytest.raises(BrokenRunError, match="^sweep 'x{300}' cannot be read: File name too long; 'runs' has no sweep"):
        find_sweep("x" * 300)
