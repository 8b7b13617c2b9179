"""`interp sweep`: what it trains, prints and writes, its exit codes, and the live table."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from interp.cli import run
from interp.terminal.sweep_table import SweepMonitor, headline
from tasks import InterpError
from tests.interp.conftest import PRESET, Refused
from training import Grid, Progress, list_runs, read_grid, run_sweep
from training.run_config import ROOT

pytestmark = pytest.mark.usefixtures("one_thread")

GRID = """
name = "gap"

[fixed]
group = "copy+shift"
preset = "quick.toml"
auxiliary_length = 4
train.steps = 4
train.clip = 1e30

[axes]
main_length = [2, 3]
train.learning_rate = [1e-2, {other}]
"""
VALUES = [(2, 0.01), (2, 0.02), (3, 0.01), (3, 0.02)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a preset and two grids: `good.toml`, and `bad.toml`, of which half the cells fail."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(PRESET)
    (tmp_path / "good.toml").write_text(GRID.format(other="2e-2"))
    (tmp_path / "bad.toml").write_text(GRID.format(other="1e30"))
    return tmp_path


def test_a_sweep_from_the_list_of_its_cells_to_its_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", "good.toml", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "sweep gap: 4 waiting" in shown
    assert not (place / "runs").exists()

    assert run(["sweep", "good.toml", "--engine", "serial"]) == 0
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert lines[:3] == [
        "main_length = 2, train.learning_rate = 0.01: training",
        "main_length = 2, train.learning_rate = 0.01: finished",
        "main_length = 2, train.learning_rate = 0.02: training",
    ]
    assert lines[-1] == "sweep: runs/gap (4 finished)"
    assert len(lines) == 9
    assert "exact match of the main task, averaged weights, end of training" in shown.out
    assert all(f" at {length} " in shown.out for length in (2, 3, 4))

    assert run(["sweep", "good.toml", "--dry-run", "--json"]) == 0
    listed = pd.DataFrame(json.loads(capsys.readouterr().out))
    assert list(listed) == ["main_length", "train.learning_rate", "run", "state", "error"]
    assert list(zip(listed["main_length"], listed["train.learning_rate"], strict=True)) == VALUES
    assert set(listed["state"]) == {"finished"}
    assert sorted(listed["run"]) == sorted(list_runs())

    assert run(["sweep", "good.toml", "--engine", "serial", "--json", "--out", "x.csv"]) == 0
    shown = capsys.readouterr()
    assert shown.err.count(": finished before\n") == 4
    printed, written = pd.DataFrame(json.loads(shown.out)), pd.read_csv("x.csv")
    assert list(printed) == list(written)
    assert list(printed)[:4] == ["main_length", "train.learning_rate", "run", "step"]
    assert len(printed) == len(written) == len(pd.read_parquet("runs/gap/results.parquet"))


def test_a_cell_of_it_is_a_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", "good.toml", "--engine", "serial", "--name", "other"]) == 0
    cells = list_runs()
    assert all(re.fullmatch(r"other/shift[23]\+copy4-2x2x16-rotary-seed0-[0-9a-f]{10}", cell) for cell in cells)
    assert run(["evaluate", cells[0], "--lengths", "2", "--n", "4"]) == 0
    capsys.readouterr()
    assert run(["evaluate", "other"]) == 2
    assert "'runs/other' holds a sweep, not a single run; name one of its 4, as in 'other/" in capsys.readouterr().err


def test_failed_cells_are_told_and_make_the_exit_code_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", "bad.toml", "--engine", "serial"]) == 1
    shown = capsys.readouterr()
    failed = re.findall(
        "^failed: main_length = [23], train.learning_rate = 1e[+]30: the loss is no", shown.err, re.MULTILINE
    )
    assert len(failed) == 2
    assert shown.err.endswith("sweep: runs/gap (2 failed, 2 finished)\n")
    cells = pd.read_parquet("runs/gap/cells.parquet")
    assert list(cells["status"]) == ["finished", "failed"] * 2


def test_impossible_cells_are_told_and_are_no_failure(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = GRID.format(other="2e-2").replace("main_length = [2, 3]", "model.n_heads = [2, 3]\nmodel.d_model = [16, 12]")
    (place / "some.toml").write_text('impossible = "skip"\n' + text)
    assert run(["sweep", "some.toml", "--dry-run"]) == 0
    assert "6 waiting, 2 impossible" in capsys.readouterr().out
    assert run(["sweep", "some.toml", "--engine", "serial"]) == 0
    shown = capsys.readouterr().err
    impossible = re.findall(
        "^impossible: model.n_heads = 3, model.d_model = 16, .*: d_model 16 is not", shown, re.MULTILINE
    )
    assert len(impossible) == 2
    assert shown.endswith("sweep: runs/gap (6 finished, 2 impossible)\n")


def test_an_interrupt_says_how_to_go_on(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: SweepMonitor, name: str, progress: Progress) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SweepMonitor, "progressed", interrupt)
        assert run(["sweep", "good.toml", "--engine", "serial"]) == 130
    assert capsys.readouterr().err.endswith("start the same command again and it goes on from the last checkpoint\n")
    assert run(["sweep", "good.toml", "--engine", "serial"]) == 0


@pytest.mark.slow
def test_the_engine_is_processes_unless_told_otherwise(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", "good.toml", "--workers", "2", "--name", "a"]) == 0
    assert run(["sweep", "good.toml", "--engine", "serial", "--name", "b"]) == 0
    first, second = (pd.read_parquet(f"runs/{name}/results.parquet").drop(columns="run") for name in "ab")
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["absent.toml"], "cannot read the grid 'absent.toml': No such file or directory; check the path"),
        (["good.toml", "--engine", "serial", "--workers", "2"],
         "--engine serial trains one cell at a time; leave --workers out"),
        (["good.toml", "--address", "auto"], "--address goes with --engine ray, and the engine is 'processes'; .*"),
        (["good.toml", "--engine", "ray", "--device", "cuda"], "--device cuda does not go with --engine ray, which .*"),
        (["good.toml", "--workers", "0"], "workers = 0; allowed is 1 or more"),
        (["good.toml", "--threads", "0"], "threads = 0; allowed is 1 or more"),
        (["good.toml", "--engine", "rey"], 'Invalid value "rey" for --engine. .*"serial", "processes".*'),
        (["good.toml", "--out", "x.txt"], "cannot tell the format of 'x.txt'; its name must end in .parquet, .*"),
        (["good.toml", "--engine", "serial", "--name", "x.partial"], "'runs/x.partial' ends in '.partial', which .*"),
    ],
)  # fmt: skip
def test_what_is_refused(place: Path, refused: Refused, arguments: list[str], text: str) -> None:
    refused(["sweep", *arguments], text)


# ------------------------------------------------------------------------------------------------------- the live table
def monitor(place: Path, monkeypatch: pytest.MonkeyPatch, *, lines: int) -> tuple[SweepMonitor, list[str]]:
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "120", "LINES": str(lines), "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    cells = read_grid("good.toml").cells()
    return SweepMonitor(cells, "gap"), [cell.name for cell in cells]


def drawn(watching: SweepMonitor) -> list[list[str]]:
    """The title, and the cells of each row of the table."""
    with watching._console.capture() as captured:
        watching._console.print(watching.table())
    text = re.sub(r"\x1b\[[0-9;]*m", "", captured.get())
    lines = [line for line in text.splitlines() if "│" in line or line.startswith("sweep")]
    return [[part.strip() for part in line.strip("│ ").split("│")] for line in lines]


def test_the_table_shows_values_state_steps_and_loss(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watching, names = monitor(place, monkeypatch, lines=40)
    watching.ended(names[0], None)
    watching.started(names[1])
    watching.progressed(names[1], Progress(20, 40, 0.5))
    watching.started(names[2])
    watching.ended(names[2], InterpError("no"))
    assert drawn(watching) == [
        ["sweep gap: 1 training, 1 failed, 1 waiting, 1 finished"],
        ["2", "0.01", "finished"],
        ["2", "0.02", "training", "20/40", "0.500"],
        ["3", "0.01", "failed"],
        ["3", "0.02", "waiting"],
    ]


def test_the_table_fits_the_terminal_and_shows_first_what_happens(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watching, names = monitor(place, monkeypatch, lines=8)
    watching.ended(names[0], None)
    watching.started(names[3])
    assert drawn(watching) == [
        ["sweep gap: 1 training, 2 waiting, 1 finished; 2 more not shown"],
        ["2", "0.02", "waiting"],
        ["3", "0.02", "training"],
    ]


def test_a_terminal_sees_the_table_and_no_lines(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watching, names = monitor(place, monkeypatch, lines=40)
    with watching._console.capture() as captured, watching.running():
        watching.started(names[0])
        watching.ended(names[0], None)
    assert "1 finished" in captured.get()
    assert capsys.readouterr().err == ""


def test_headline_reads_the_main_task_at_the_marked_lengths(place: Path) -> None:
    result = run_sweep(Grid.read({**read_grid("good.toml").model_dump(), "axes": {"main_length": [2]}}), ROOT / "one")
    (row,) = headline(result).to_dict("records")
    run_name = result.status["run"][0]
    table: Any = pd.read_parquet(ROOT / run_name / "metrics.parquet")
    last = table[(table["step"] == 4) & (table["task"] == "shift") & (table["weights"] == "averaged")]
    accuracy = last.set_index("length")["accuracy"]
    assert row == {
        "main_length": "2",
        "task": "shift",
        "longest of main": f"{accuracy[2]:.3f} at 2",
        "transfer": f"{accuracy[3]:.3f} at 3",
        "longest of auxiliary": f"{accuracy[4]:.3f} at 4",
    }
