"""`interp cross` and `interp lengths`: what they print, keep and read again, with task heads, and what they refuse."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from torch import Tensor

from analyses import CrossTaskAblation, LengthMaps, only_at_transfer
from analyses.interventions import Intervention
from analyses.reuse import cross_effects, dissociation, length_effects, transfer_heads
from interp.cli import run
from tests.interp.conftest import Refused
from training import load_run, named_generator, train

pytestmark = pytest.mark.usefixtures("one_thread")

CROSS = ["cross", "tiny", "--length", "3", "--n", "8", "--k", "1", "--bootstraps", "20"]
LENGTHS = ["lengths", "tiny", "--n", "4", "--per-zone", "1", "--main-length", "2", "--auxiliary-length", "4"]
TABLES = {
    "cross": (CROSS, cross_effects.COLUMNS, 4),
    "pairs": ([*CROSS, "--pairs"], dissociation.COLUMNS, 1),
    "lengths": (LENGTHS, length_effects.COLUMNS, 2 * 3 * 4),
    "only": ([*LENGTHS, "--only", "--task", "shift"], transfer_heads.COLUMNS, 4),
}


def rows(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> pd.DataFrame:
    """What a command prints with --json."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return pd.DataFrame(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(("arguments", "columns", "count"), TABLES.values(), ids=TABLES)
def test_json_and_files_are_the_table(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], columns: list[str], count: int
) -> None:
    table = rows(arguments, capsys)
    assert list(table) == columns
    assert len(table) == count
    for ending in ("csv", "parquet"):
        path = tmp_path / f"x.{ending}"
        assert run([*arguments, "--out", str(path)]) == 0
        written = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
        assert list(written) == columns
        assert written["seed"].tolist() == table["seed"].tolist()
    assert capsys.readouterr().out == ""


def test_what_a_person_sees(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(CROSS) == 0
    shown = capsys.readouterr()
    assert (
        "tiny: top heads of each task at length 3, mean ablation, accuracy; effect > 0: the scored task " in shown.out
    )
    assert shown.err == "run: runs/tiny\n"
    assert run([*CROSS, "--pairs", "--metric", "nll"]) == 0
    assert (
        "tiny: double dissociation at length 3, mean ablation, nll; > 0: each task's heads " in capsys.readouterr().out
    )
    assert run([*LENGTHS, "--top", "5"]) == 0
    shown = capsys.readouterr()
    assert "tiny: in range to 2, transfer to 4, beyond, mean ablation, nll; effect > 0: the head helped" in shown.out
    assert "5 of 24 rows; --json or --out gives all of them" in shown.err
    assert run([*LENGTHS, "--only"]) == 0
    assert "tiny: heads needed only at transfer, mean ablation, nll; " in capsys.readouterr().out


def test_they_are_the_analyses_of_the_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load_run("tiny")
    tasks = [loaded.task(name) for name in ("copy", "shift")]
    table = rows([*CROSS, "--tasks", "copy", "shift", "--metric", "nll", "--seed", "2"], capsys)
    wanted = CrossTaskAblation(k=1, metric="nll", bootstraps=20)(
        loaded.model(), tasks, length=3, n=8, generator=named_generator(2, "cross")
    )
    assert table["ablated"].tolist() == ["copy", "copy", "shift", "shift"]
    assert table["effect"].tolist() == pytest.approx(wanted["effect"].tolist(), abs=1e-9)
    only = rows([*LENGTHS, "--only", "--task", "copy", "--seed", "2"], capsys)
    found = LengthMaps(per_zone=1).effects(
        loaded.model(), tasks[0], main_length=2, auxiliary_length=4, n=4, generator=named_generator(2, "lengths")
    )
    assert only["transfer"].tolist() == pytest.approx(only_at_transfer(found)["transfer"].tolist(), abs=1e-9)


def test_zones_end_where_training_did(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = rows(["lengths", "tiny", "--task", "shift", "--n", "2"], capsys)
    zones = table.drop_duplicates("zone")[["zone", "lengths"]].to_numpy().tolist()
    assert zones == [["in_range", "4 7 10"], ["transfer", "14 17 20"], ["beyond", "22 24 25"]]


@pytest.mark.parametrize("asked", [CROSS, LENGTHS], ids=["cross", "lengths"])
def test_results_are_kept_and_all_their_tables_read_again(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    asked = [*asked, "--kind", "resample", "--metric", "nll"]
    first = rows(asked, capsys)
    monkeypatch.setattr("analyses.ablation.intervene", None)  # what would be called to measure anything
    pd.testing.assert_frame_equal(rows(asked, capsys), first)
    rows([*asked, "--pairs" if asked[0] == "cross" else "--only"], capsys)
    for other in (["--seed", "1"], ["--weights", "raw"], ["--step", "10"]):
        with pytest.raises(TypeError):
            run([*asked, *other])


def test_examples_are_drawn_anew_as_often_as_asked_without_measuring_again(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [*CROSS[:-2], "--metric", "nll", "--seed", "9"]
    first = rows([*asked, "--bootstraps", "20"], capsys)
    monkeypatch.setattr("analyses.ablation.intervene", None)
    more = rows([*asked, "--bootstraps", "70"], capsys)
    assert (set(first["bootstraps"]), set(more["bootstraps"])) == ({20}, {70})
    assert more["effect"].tolist() == first["effect"].tolist()
    assert more["low"].tolist() != first["low"].tolist()
    pd.testing.assert_frame_equal(rows([*asked, "--bootstraps", "20"], capsys), first)
    for other in (["--controls", "2"], ["--kind", "zero"], ["--positions", "prompt"]):
        with pytest.raises(TypeError):
            run([*asked, *other])


@pytest.mark.parametrize("asked", [CROSS, LENGTHS], ids=["cross", "lengths"])
def test_an_interrupted_command_goes_on(
    here: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    asked: list[str],
) -> None:
    from analyses.interventions.stacked import Stacked

    shutil.copytree(here / "runs", tmp_path / "runs")
    asked = [*asked, "--metric", "kl"]
    whole = rows(asked, capsys)
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "runs/tiny/results"
    for path in results.glob("*"):
        path.unlink()
    stacks, real = [], Stacked.logits

    def counted(self: Stacked, stack: Sequence[Intervention]) -> Tensor:
        if len(stacks) == 1:
            raise KeyboardInterrupt
        stacks.append(len(stack))
        return real(self, stack)

    monkeypatch.setattr(Stacked, "logits", counted)
    assert run([*asked, "--json"]) == 130
    assert [path.suffixes for path in results.iterdir()] == [[".0", ".journal"]]  # of the first sweep, begun
    monkeypatch.setattr(Stacked, "logits", real)
    pd.testing.assert_frame_equal(rows(asked, capsys), whole)
    assert {path.suffix for path in results.iterdir()} == {".parquet"}


def test_task_heads(made: Path, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_run(made / "runs" / "tiny").config
    sections = {
        "model": config.model.model_copy(update={"task_heads": 2}),
        "train": config.train.model_copy(update={"steps": 2, "warmup": 1}),
    }
    train(config.model_copy(update=sections), Path("runs/tiny"))
    assert len(rows([*CROSS, "--metric", "nll"], capsys)) == 4
    assert set(rows(LENGTHS, capsys)["task"]) == {"shift", "copy"}
    capsys.readouterr()
    assert run([*CROSS, "--tasks", "copy", "reverse"]) == 2
    assert "the run has an unembedding for each of shift, copy, and none for 'reverse'" in capsys.readouterr().err


CASES = [
    (["cross", "tinny"], "unknown run 'tinny'; did you mean 'tiny'[?] 'runs' has tiny"),
    (["cross", "tiny", "--tasks", "copy"], "cross-task ablation compares two or more tasks, got copy; name .*"),
    (["cross", "tiny", "--tasks", "copy", "copy"], "task 'copy' is named twice; name each task once"),
    (["cross", "tiny", "--tasks", "copy", "revrse"], "unknown task 'revrse'; did you mean 'reverse'[?] .*"),
    (["cross", "tiny", "--k", "0"], "k = 0 is not possible; allowed is 1 or more"),
    (["cross", "tiny", "--k", "5"], "k = 5 top heads of 4; allowed are 1 to 4"),
    (["cross", "tiny", "--controls", "0"], "controls = 0 is not possible; allowed is 1 or more"),
    (["cross", "tiny", "--n", "3"], "n = 3 examples do not make two halves of 2 or more; use n >= 4"),
    (["cross", "tiny", "--metric", "loss"], "unknown metric 'loss'; the metrics are .*"),
    (["cross", "tiny", "--positions", "99"], "position 99 does not exist: the examples have 0 to [0-9]+"),
    (["cross", "tiny", "--length", "5000"], "length 5000 is not possible for task 'shift'; allowed are 1 to 4096"),
    (["cross", "tiny", "--out", "x.txt"], "cannot tell the format of 'x.txt'; its name must end in .parquet, .*"),
    (["lengths", "tinny"], "unknown run 'tinny'; did you mean 'tiny'[?] 'runs' has tiny"),
    (["lengths", "tiny", "--task", "revrse"], "unknown task 'revrse'; did you mean 'reverse'[?] .*"),
    (["lengths", "tiny", "--per-zone", "0"], "per_zone = 0 is not possible; allowed is 1 or more"),
    (["lengths", "tiny", "--main-length", "21"], "auxiliary_length = 20 is below main_length = 21; .*"),
    (["lengths", "tiny", "--main-length", "0"], "length 0 is not possible for task 'shift'; allowed are 1 to 4096"),
    (["lengths", "tiny", "--n", "1"], "n = 1 examples of each length give no error; use n >= 2"),
    (["lengths", "tiny", "--positions", "begin"], "positions 'begin' are unknown; allowed are all, .*"),
    (["lengths", "tiny", "--out", "x.txt"], "cannot tell the format of 'x.txt'; its name must end in .parquet, .*"),
]


@pytest.mark.parametrize(("arguments", "text"), CASES, ids=[" ".join(arguments)[:60] for arguments, _ in CASES])
def test_bad_input(here: Path, refused: Refused, arguments: list[str], text: str) -> None:
    refused(arguments, text)


def test_no_transfer_zone(here: Path, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(here / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    asked = ["lengths", "tiny", "--task", "copy", "--main-length", "4", "--auxiliary-length", "4", "--n", "4"]
    assert set(rows(asked, capsys)["zone"]) == {"in_range", "beyond"}
    capsys.readouterr()
    assert run([*asked, "--only"]) == 2
    assert capsys.readouterr().err.startswith("interp: there is no length in zone 'transfer', so nothing can be needed")
