"""`interp isolate`: what it trains, prints and writes, its exit codes, and what it refuses."""

import json
import re
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from analyses.transfer.isolation_table import COLUMNS
from interp.cli import run
from interp.commands import isolate
from tests.interp.conftest import PRESET, Refused
from training import list_runs
from training.conditions import Condition

pytestmark = pytest.mark.usefixtures("one_thread")

ISOLATE = ["isolate", "copy+shift", "--preset", "quick.toml"]
SMALL = ["--main-length", "3", "--auxiliary-length", "5", "--seeds", "2", "--first-seed", "7", "--n", "8"]
QUICK = ["--engine", "serial", "--set", "train.steps=2", "measure.checkpoints=1", "model.n_layers=1"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a preset."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(PRESET)
    return tmp_path


@pytest.mark.slow
def test_from_nothing_to_the_table_and_again_from_what_is_there(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*ISOLATE, *SMALL, *QUICK]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("condition = auxiliary, seed = 7: training\n")
    assert shown.err.endswith(
        "sweep: runs/isolate-copy+shift-quick (12 finished)\n"
        "p: 4 flips of the seeds' signs, so never below 0.25; q: over the conditions\n"
    )
    assert "shift at length 4: exact match, averaged weights, 2 seeds" in shown.out
    for name in (*get_args(Condition), *(column.replace("_", " ") for column in isolate.COLUMNS)):
        assert re.search(rf"\b{name}\b", shown.out)
    assert "nan" not in shown.out
    assert len(list_runs()) == 12

    assert run([*ISOLATE, *SMALL, *QUICK, "--json", "--out", "x.parquet"]) == 0
    shown = capsys.readouterr()
    assert shown.err.count(": finished before\n") == 12
    printed, written = pd.DataFrame(json.loads(shown.out)), pd.read_parquet("x.parquet")
    assert list(printed) == list(written) == COLUMNS
    assert list(written["condition"]) == list(get_args(Condition))
    assert set(written["steps"]) == {2}
    assert set(written["seeds"]) == {2}
    missing = [False, True, False, False, False, True]
    assert written["reuse"].isna().tolist() == written["reuse_q"].isna().tolist() == missing
    assert written["reuse_permutations"].tolist() == [0 if none else 10_000 for none in missing]


def test_a_failed_run_is_told_and_nothing_is_compared(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ISOLATE, *SMALL, *QUICK, "--set", "train.learning_rate=1e30", "train.clip=1e30"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.search("^failed: condition = alone, seed = 8: the loss is no longer a number", shown.err, re.MULTILINE)
    last = "nothing is compared, since that needs all runs; start the same command again to train what is missing"
    assert shown.err.splitlines()[-2:] == ["sweep: runs/isolate-copy+shift-quick (12 failed)", last]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["isolate", "copy+shft"], "unknown group 'copy[+]shft'; did you mean 'copy[+]shift'[?] .*"),
        ([*ISOLATE, "--seeds", "1"], "1 seeds are too few to compare conditions over; allowed are 2 to 20, .*"),
        ([*ISOLATE, "--first-seed", "-1"], ".*seed.*-1.*greater than or equal to 0.*"),
        ([*ISOLATE, "--n", "2"], "n = 2 examples are too few for an isolation; use at least 4"),
        ([*ISOLATE, "--main-length", "0"], "config key 'main_length' = 0: input should be greater than or equal to 1"),
        ([*ISOLATE, "--main-length", "5000"], "length 5000 is not possible for task 'shift'; allowed are 1 to 4096"),
        ([*ISOLATE, "--set", "train.stepz=3"], "unknown grid key 'train.stepz'; did you mean 'train.steps'[?] .*"),
        ([*ISOLATE, "--set", "steps=3"], "setting 'steps=3' is not of the form 'section.key=value', as in .*"),
        ([*ISOLATE, "--engine", "serial", "--workers", "2"],
         "--engine serial trains one cell at a time; leave --workers out"),
        ([*ISOLATE, "--out", "x.txt"], "cannot tell the format of 'x.txt'; its name must end in .parquet, .*"),
        ([*ISOLATE, *QUICK, "--name", "x.partial"], "'runs/x.partial' ends in '.partial', which .*"),
    ],
)  # fmt: skip
def test_what_is_refused(place: Path, refused: Refused, arguments: list[str], text: str) -> None:
    refused(arguments, text)
