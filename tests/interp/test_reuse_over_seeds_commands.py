"""Reuse over seeds and training on the command line: `study --seeds`, `overlap`, `attention`, `association`."""

import contextlib
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from analyses import AttentionDifference, HeadAblation, HeadOverlap, ReuseOverTraining, association, leads
from analyses.reuse import association as association_module
from analyses.reuse import attention as attention_module
from analyses.reuse import leads as leads_module
from analyses.reuse import over_training, overlap
from interp.cli import run
from interp.studies.seeds import TABLES, read_results
from tasks import BrokenRunError
from tests.interp.conftest import PRESET, Refused, listing
from training import Run, list_runs, load_run, named_generator

pytestmark = pytest.mark.usefixtures("one_thread")

STUDY = ["study", "copy+shift", "--preset", "tiny.toml", "--engine", "serial", "--n", "8", "--main-length", "2"]
STUDY += ["--auxiliary-length", "4", "--seed", "5", "--seeds", "2", "--checkpoints", "8", "--set", "train.steps=8"]
NAMES = ["accuracy", "association", "gains", "gaps", "leads", "overlap", "trajectories"]
OVERLAP = ["--length", "3", "--n", "6", "--permutations", "20", "--bootstraps", "10", "--metric", "nll"]


@pytest.fixture(scope="module")
def studied(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study over seeds `seeds`."""
    folder = tmp_path_factory.mktemp("studied")
    (folder / "tiny.toml").write_text(PRESET)
    with contextlib.chdir(folder):
        assert run([*STUDY, "--name", "seeds"]) == 0
    return folder


@pytest.fixture
def there(studied: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(studied)
    return studied


@pytest.fixture
def pair(there: Path) -> list[Run]:
    """The two runs of the study with the auxiliary."""
    runs = [load_run(name) for name in list_runs() if name.startswith("seeds/shift2+copy4")]
    return sorted(runs, key=lambda one: one.config.seed)


def rows(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> pd.DataFrame:
    """What a command prints with --json."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return pd.DataFrame(json.loads(capsys.readouterr().out))


def assert_equal(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Equal but for what JSON does to types and last digits."""
    plain = pd.DataFrame(json.loads(expected.to_json(orient="records")))
    pd.testing.assert_frame_equal(found, plain, check_dtype=False)


# --------------------------------------------------------------------------------------------------------------- study
def test_a_study_over_seeds_writes_its_tables_and_its_figure(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = there / "runs" / "seeds"
    before = {path: path.read_bytes() for path in [*(folder / TABLES).iterdir(), *(folder / "figures").iterdir()]}
    assert sorted(path.name for path in before) == sorted([*(f"{name}.parquet" for name in NAMES), "reuse.svg"])
    kept = listing(folder / "results") if (folder / "results").exists() else {}
    assert run([*STUDY, "--name", "seeds"]) == 0  # found as it is
    shown = capsys.readouterr()
    assert shown.err.count(": finished before\n") == 6
    assert shown.err.splitlines()[-4:] == [
        "sweep: runs/seeds (6 finished)",
        "page: runs/seeds/report.html",
        "tables: runs/seeds/tables",
        "figure: runs/seeds/figures/reuse.svg",
    ]
    for title in (
        "copy+shift: exact match of shift, averaged weights, 2 seeds",
        "ablation maps at length 3, against shuffles within layers",
        "reuse and gap over training, all seeds together",
    ):
        assert title in shown.out
    for cell in ("auxiliary - alone", "auxiliary - control", "control - alone", "map difference (accuracy)", "reverse"):
        assert cell in shown.out
    assert {path: path.read_bytes() for path in before} == before
    assert kept == (listing(folder / "results") if (folder / "results").exists() else {})


def test_the_tables_are_those_of_the_study(there: Path) -> None:
    results = read_results(there / "runs" / "seeds")
    assert set(results.accuracy["seed"]) == {5, 6}
    assert set(results.accuracy["condition"]) == {"auxiliary", "alone", "control"}
    assert set(results.accuracy["n"]) == {8}
    assert set(results.trajectories["step"]) == {1, 2, 3, 4, 5, 6, 7, 8}
    assert set(results.gaps["seeds"]) == set(results.overlap["seeds"]) == {2}
    assert set(zip(results.overlap["first"], results.overlap["second"], strict=True)) == {
        ("shift", "copy"), ("shift", "reverse"),
    }  # fmt: skip


def test_a_folder_without_the_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenRunError) as caught:
        read_results(tmp_path)
    assert str(caught.value) == (
        f"{str(tmp_path)!r} has no tables of a study over seeds; 'interp study GROUP --seeds 5' makes them"
    )


def test_a_failed_run_is_told_and_nothing_is_compared(
    studied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(PRESET)
    assert run([*STUDY, "train.learning_rate=1e30", "train.clip=1e30"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.search("^failed: condition = alone, seed = 6: the loss is no longer a number", shown.err, re.MULTILINE)
    *_, sweep, last = shown.err.splitlines()
    assert re.fullmatch(r"sweep: runs/copy\+shift-tiny-seed5-[0-9a-f]{6} \(6 failed\)", sweep)
    assert last == (
        "nothing is compared, since that needs all runs; start the same command again to train what is missing"
    )
    assert not list((tmp_path / "runs").glob(f"*/{TABLES}"))


# ------------------------------------------------------------------------------------------------------------- overlap
def test_overlap_over_seeds(pair: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    names = [one.name for one in pair]
    table = rows(["overlap", *names, *OVERLAP, "--seed", "2"], capsys)
    assert list(table) == overlap.COLUMNS
    maps = [
        [
            HeadAblation(kind="mean", metric="nll").effects(
                one.model(), one.task(task), length=3, n=6, generator=named_generator(2, "ablation")
            )[0]
            for task in ("shift", "copy")
        ]
        for one in pair
    ]
    comparison = HeadOverlap(permutations=20, bootstraps=10, resample="together")
    direct = comparison.over_seeds(maps, generator=named_generator(2, "overlap", "nll"))
    assert_equal(table.drop(columns="family"), direct.drop(columns="family"))
    assert set(table["seeds"]) == {2}
    capsys.readouterr()
    assert run(["overlap", *names, *OVERLAP, "--seed", "2"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "".join(f"run: runs/{name}\n" for name in names)
    assert f"{names[0]}: shift and copy at length 3, mean ablation, nll, 2 seeds" in shown.out


# ----------------------------------------------------------------------------------------------------------- attention
def test_attention(
    pair: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = pair[0].name
    asked = ["attention", name, "--n", "6", "--bootstraps", "9"]
    table = rows(asked, capsys)
    assert list(table) == attention_module.COLUMNS
    direct = AttentionDifference(bootstraps=9)(
        pair[0].model(), pair[0].task("shift"), pair[0].task("copy"), length=3, n=6,
        generator=named_generator(0, "attention"),
    )  # fmt: skip
    assert_equal(table, direct)
    assert run([*asked, "--out", str(tmp_path / "x.parquet")]) == 0
    assert len(pd.read_parquet(tmp_path / "x.parquet")) == len(table) == 3 * (4 + 1)

    capsys.readouterr()
    assert run([*asked, "--top", "1"]) == 0
    shown = capsys.readouterr()
    title = f"{name}: attention on shift and copy at length 3; no head: total, or mean over heads"
    assert title in " ".join(shown.out.split())
    assert shown.err == f"run: runs/{name}\n6 of 15 rows; --json or --out gives all of them\n"
    lines = [line.split() for line in shown.out.splitlines()]
    for measure, least in (("attention_difference", False), ("jensen_shannon", False), ("offset_cosine", True)):
        heads = direct[(direct["measure"] == measure) & direct["head"].notna()].sort_values("estimate", ascending=least)
        first = heads.iloc[0]
        found = [line[1] for line in lines if line[:1] == [measure]]
        assert found == ["-", f"{first['layer']}.{first['head']}"]

    monkeypatch.setattr(Run, "model", None)  # what would be called to measure anything
    assert_equal(rows([*asked, "--top", "0"], capsys), direct)


def test_attention_on_what_is_asked(pair: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["attention", pair[1].name, "--tasks", "copy", "reverse", "--measures", "jensen_shannon", "--length", "2"]
    table = rows([*asked, "--n", "4", "--step", "3", "--weights", "raw", "--seed", "9"], capsys)
    one = pair[1]
    direct = AttentionDifference(("jensen_shannon",))(
        one.model(3, weights="raw"), one.task("copy"), one.task("reverse"), length=2, n=4,
        generator=named_generator(9, "attention"),
    )  # fmt: skip
    assert_equal(table, direct)


# --------------------------------------------------------------------------------------------------------- association
def paths(runs: list[Run]) -> pd.DataFrame:
    return pd.concat([ReuseOverTraining(n=8)(one) for one in runs], ignore_index=True)


def test_association_of_two_seeds(pair: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["association", *(one.name for one in pair), "--n", "8", "--draws", "50", "--seed", "3"]
    table = rows(asked, capsys)
    assert list(table) == [*association_module.COLUMNS, "run"]
    assert set(table["run"]) == {pair[0].name}
    direct = association(paths(pair), draws=50, generator=named_generator(3, "association"))
    assert_equal(table.drop(columns="run"), direct)
    for ending in ("csv", "parquet"):
        path = tmp_path / f"x.{ending}"
        assert run([*asked, "--out", str(path)]) == 0
        written = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
        assert list(written) == list(table)
        assert written["p"].tolist() == pytest.approx(table["p"].tolist())
    capsys.readouterr()
    assert run(asked) == 0
    shown = capsys.readouterr()
    assert "reuse of heads and transfer over training, all seeds of a configuration together" in shown.out
    pooled = int((table["level"] == "pooled").sum())
    assert f"{pooled} of {len(table)} rows; --json or --out gives all of them\n" in shown.err
    assert shown.err.startswith("spearman: of the raw series; detrended, p and q: ")


def test_association_leads_and_trajectories(
    pair: list[Run], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [one.name for one in pair]
    expected = paths(pair)
    monkeypatch.setattr(Run, "model", None)  # all of it is kept with the runs
    table = rows(["association", *names, "--n", "8", "--leads"], capsys)
    assert list(table) == [*leads_module.COLUMNS, "run"]
    assert_equal(table.drop(columns="run"), leads(expected))
    table = rows(["association", *names, "--n", "8", "--trajectories"], capsys)
    assert list(table) == over_training.COLUMNS
    assert_equal(table, expected)
    capsys.readouterr()
    assert run(["association", *names, "--n", "8", "--leads"]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("lead: steps from the rise of reuse to that of accuracy")
    assert "accuracy step" in shown.out


def test_association_of_a_sweep_pools_each_configuration_by_itself(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = rows(["association", "seeds", "--n", "8", "--draws", "9"], capsys)
    pooled = table[table["level"] == "pooled"]
    assert set(table["auxiliary"]) == {"copy", "reverse"}
    assert set(pooled["seeds"]) == {2}
    assert set(pooled["family"]) == {17}, "each with its own family"


def test_association_of_one_run_shows_every_row(pair: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["association", pair[0].name, "--n", "8", "--draws", "9"]
    assert run(asked) == 0
    shown = capsys.readouterr()
    assert "rows; --json" not in shown.err
    assert shown.out.count("offset_cosine") == 3
    table = rows(asked, capsys)
    assert set(table["level"]) == {"seed"}
    assert set(table["seed"]) == {5}


def test_runs_that_differ_in_more_than_their_seed_are_refused(there: Path, refused: Refused) -> None:
    text = "the 4 runs differ in more than their seed; name runs of one configuration, as in one sweep"
    refused(["overlap", "seeds", *OVERLAP], text)
