"""`interp probe`: what it prints, keeps and reads again, and what it refuses."""

import json
from pathlib import Path

import pandas as pd
import pytest

from analyses.probing import Fitting, LinearProbe
from analyses.probing.linear_probe import COLUMNS
from interp.cli import run
from tests.interp.conftest import Refused
from training import load_run, named_generator

pytestmark = pytest.mark.usefixtures("one_thread")

PROBE = ["probe", "tiny", "--label", "current_token", "--length", "3", "--n", "24", "--sites", "resid_pre", "z"]


def rows(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> pd.DataFrame:
    """What a command prints with --json."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return pd.DataFrame(json.loads(capsys.readouterr().out))


def test_json_and_files_are_the_table(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = rows(PROBE, capsys)
    assert list(table) == COLUMNS
    assert table["site"].tolist() == ["resid_pre", "z", "z"] * 2
    for ending in ("csv", "parquet"):
        path = tmp_path / f"x.{ending}"
        assert run([*PROBE, "--out", str(path)]) == 0
        written = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
        assert list(written) == COLUMNS
        assert written["accuracy"].tolist() == pytest.approx(table["accuracy"].tolist())
    assert capsys.readouterr().out == ""


def test_what_a_person_sees(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(PROBE) == 0
    shown = capsys.readouterr()
    assert "tiny: linear probes of current_token, shift at length 3; majority: 0." in shown.out
    assert "untrained accuracy" in shown.out
    assert "head" in shown.out
    assert shown.err == "run: runs/tiny\n"


def test_it_is_the_analysis_of_the_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["probe", "--task", "shift", "--label", "position_from_end", "--length", "3", "4", "--n", "24"]
    table = rows([*arguments, "--positions", "prompt", "--types", "token", "--l2", "0.5", "--seed", "2"], capsys)
    assert set(table["length"]) == {"3 4"}
    loaded = load_run("tiny")
    probe = LinearProbe(positions="prompt", fitting=Fitting(l2=0.5))
    wanted = probe(
        loaded.model(), loaded.task("shift"), label="position_from_end", length=(3, 4), n=24,
        generator=named_generator(2, "probe"),
    )  # fmt: skip
    for column in ("accuracy", "mdl", "selectivity", "untrained_accuracy"):
        assert table[column].tolist() == pytest.approx(wanted[column].tolist(), abs=1e-9)


def test_results_are_kept_and_read_again(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [*PROBE, "--l2", "2"]
    first = rows(asked, capsys)
    monkeypatch.setattr("analyses.probing.scores.fit_probes", None)  # what would be called to measure anything
    pd.testing.assert_frame_equal(rows(asked, capsys), first)
    for other in (["--seed", "1"], ["--weights", "raw"], ["--step", "10"], ["--types", "position"]):
        with pytest.raises(TypeError):
            run([*asked, *other])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (["--label", "carry"], "unknown label 'carry'; did you mean 'carry_in'. the labels are current_token, .*"),
        (
            ["--label", "minimum"],
            "label 'minimum' does not apply to task 'shift' but to count, fill, min, sort, success.*",
        ),
        (["--sites", "q"], "unknown site 'q'; the sites of probes are resid_pre, .*"),
        (["--l2", "0"], "l2 = 0.0 is not possible for a probe; allowed are numbers above 0"),
        (["--length", "0"], "length 0 is not possible for task 'shift'; allowed are 1 to 4096"),
        (["--n", "5"], "n = 5 examples cannot be divided for a probe; allowed is 8 or more"),
        (["--task", "coppy"], "unknown task 'coppy'; did you mean 'copy'. .*"),
    ],
)
def test_refusals(here: Path, refused: Refused, changed: list[str], text: str) -> None:
    refused(["probe", "tiny", *([] if changed[0] == "--label" else ["--label", "current_token"]), *changed], text)
