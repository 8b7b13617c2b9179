"""`interp primitives`: what it prints, keeps and reads again, with shared primitives, and what it refuses."""

import json
from pathlib import Path

import pandas as pd
import pytest

from analyses import Primitives, shared_primitives
from analyses.primitives import locating, shared
from interp.cli import run
from tests.interp.conftest import Refused
from training import load_run, named_generator

pytestmark = pytest.mark.usefixtures("one_thread")

COMMAND = ["primitives", "tiny", "--length", "4", "--n", "16", "--permutations", "50"]


def rows(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> pd.DataFrame:
    """What a command prints with --json."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return pd.DataFrame(json.loads(capsys.readouterr().out))


def test_json_and_files_are_the_table(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = rows(COMMAND, capsys)
    assert list(table) == locating.COLUMNS
    assert len(table) == 2 * 4 * 4  # tasks, primitives, heads
    for ending in ("csv", "parquet"):
        path = tmp_path / f"x.{ending}"
        assert run([*COMMAND, "--out", str(path)]) == 0
        written = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
        assert list(written) == locating.COLUMNS
        assert written["verdict"].tolist() == table["verdict"].tolist()
    assert capsys.readouterr().out == ""


def test_it_is_the_analysis_of_the_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded, name = load_run("tiny"), "offset_copy"
    table = rows([*COMMAND, "--tasks", "shift", "--primitives", name, "--seed", "3", "--level", "0.1"], capsys)
    wanted = Primitives((name,), permutations=50, level=0.1)(
        loaded.model(), loaded.task("shift"), length=4, n=16, generator=named_generator(3, "primitives")
    )
    assert table["effect"].tolist() == pytest.approx(wanted["effect"].tolist(), abs=1e-9)
    assert table["q"].tolist() == pytest.approx(wanted["q"].tolist())
    assert set(table["primitive"]) == {name}


def test_shared(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [*COMMAND, "--tasks", "copy", "shift"]
    table = rows(both, capsys)
    kept = sorted((here / "runs" / "tiny" / "results").glob("primitives-*"))
    assert run([*both, "--shared", "--out", str(tmp_path / "shared.csv")]) == 0
    assert sorted((here / "runs" / "tiny" / "results").glob("primitives-*")) == kept  # made of the tables kept
    assert list(pd.read_csv(tmp_path / "shared.csv")) == shared.COLUMNS
    assert len(pd.read_csv(tmp_path / "shared.csv")) == len(shared_primitives([table]))
    capsys.readouterr()
    assert run([*both, "--shared"]) == 0
    assert "tiny: heads that implement the same primitive in both tasks at length 4" in capsys.readouterr().out


def test_what_a_person_sees(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*COMMAND, "--top", "3"]) == 0
    shown = capsys.readouterr()
    assert "tiny: primitives at length 4; share and write in [0, 1], effect and cut in nats" in shown.out
    assert "3 of 32 rows; --json or --out gives all of them" in shown.err
    assert run([*COMMAND, "--top", "0"]) == 0
    assert "rows; --json" not in capsys.readouterr().err


REFUSED = {
    "unknown": (["--primitives", "cpy"], r"unknown primitive 'cpy'; did you mean 'copy'\? the primitives are .*"),
    "not the task's": (
        ["--tasks", "copy", "shift", "--primitives", "min"],
        "primitive 'min' does not apply to task 'copy': it is one of sort and min; 'copy' has copy, .*",
    ),
    "level": (["--level", "0"], "level = 0.0 is not possible; allowed is above 0 and below 1"),
    "shared": (["--tasks", "copy", "--shared"], "--shared is about two tasks, got 1; name two, as in --tasks copy .*"),
    "length": (["--length", "0"], "length 0 is not possible for task '.*'; allowed are 1 to 4096"),
    "task": (["--tasks", "cop"], ".*cop.*"),
}


@pytest.mark.parametrize(("arguments", "text"), REFUSED.values(), ids=REFUSED)
def test_refusals(here: Path, refused: Refused, arguments: list[str], text: str) -> None:
    refused([*COMMAND[:2], *arguments], text)
