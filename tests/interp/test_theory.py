"""`interp theory`: what it prints and writes, and what it refuses."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from analyses.ground_truth.theory import COLUMNS
from interp.cli import run
from interp.commands import theory
from tests.interp.conftest import Refused

SMALL = ["theory", "sort", "--lengths", "4", "12", "--precisions", "float32", "3bit", "--noises", "0"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_a_person_sees(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SMALL, "--code", "absolute"]) == 0
    shown = capsys.readouterr()
    assert "theory sort: the constructed sorter, code absolute" in shown.out
    for name in theory.COLUMNS:
        assert name.replace("_", " ") in shown.out
    assert "sorted without an error up to length" in shown.out
    # 3 bits tell the numbers up to 8 apart: the last row of the second table ends with 4, sorted, and 12, not.
    last = [re.findall(r"[\w.]+", line) for line in shown.out.splitlines() if "3bit" in line][-1]
    assert last[:3] == ["3bit", "3", "log_n"]
    assert [float(cell) for cell in last[3:]] == [1, 0, 4, 12]
    assert not list(place.iterdir())


def test_what_is_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SMALL, "--fixed", "1", "2", "--tempered", "--json", "--out", "x.csv"]) == 0
    shown = capsys.readouterr()
    printed, written = pd.DataFrame(json.loads(shown.out)), pd.read_csv("x.csv")
    assert list(printed) == list(written) == COLUMNS
    assert shown.err == "written: x.csv\n"
    assert written["temperature"].tolist() == ["none"] * 8
    assert written["beta"].tolist() == [1, 2] * 4
    assert written["length"].tolist() == [4] * 4 + [12] * 4
    assert run([*SMALL, "--fixed", "1", "2", "--tempered", "--json", "--seed", "0"]) == 0
    assert capsys.readouterr().out == shown.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["theory", "srt"], 'Invalid value "srt" for CONSTRUCTION. .*"sort".* See .interp theory --help.[.]'),
        ([*SMALL, "--precisions", "half"], "unknown precision 'half'; the precisions are float64, .*"),
        ([*SMALL, "--lengths", "0"], ".*lengths .*0.* are not possible; give at least one, each 1 or more"),
        ([*SMALL, "--n", "0"], "n = 0 sequences cannot be sorted; allowed is 1 or more"),
        ([*SMALL, "--fixed", "0"], "beta = 0.0 is not possible; allowed is more than 0"),
        ([*SMALL, "--out", "x.txt"], "cannot tell the format of 'x.txt'; its name must end in .parquet, .*"),
    ],
)  # fmt: skip
def test_what_is_refused(place: Path, refused: Refused, arguments: list[str], text: str) -> None:
    refused(arguments, text)
