"""`interp runs`: what is listed, how two runs differ, and that nothing is removed but what was meant."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from interp.cli import run
from interp.runs import folders as run_folders
from interp.runs.facts import damage
from interp.runs.folders import folder_at
from interp.runs.table import age, disk
from tests.interp.conftest import Refused, listing
from training import finding, folder, run_config, runs

NAMES = ["it's <script>alert(1)", "mit Leer zeichen", "größe-日本", '"quoted"', "-x", "[bold]a"]


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of one's own with the run `tiny`, a study `pair` of two runs and a sweep `grid` of two."""
    monkeypatch.chdir(tmp_path)
    for name in ("tiny", "pair/auxiliary", "pair/alone", "grid/a-seed1", "grid/b-seed2"):
        shutil.copytree(made / "runs" / "tiny", tmp_path / "runs" / name, copy_function=os.link)
    for seed, name in enumerate(("a-seed1", "b-seed2"), start=1):
        change(tmp_path / "runs" / "grid" / name, seed=seed)
    (tmp_path / "runs/pair/study.json").write_text('{"format": 3, "group": "copy+shift"}')
    (tmp_path / "runs/grid/sweep.json").write_text('{"format": 3, "grid": {"fixed": {"group": "copy+shift"}}}')
    return tmp_path


def change(path: Path, **config: object) -> None:
    """Writes another configuration into a run, whose files are links to those of another one."""
    values = json.loads((path / "config.json").read_text())
    values["config"] |= config
    (path / "config.json").unlink()
    (path / "config.json").write_text(json.dumps(values))


def rows(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> pd.DataFrame:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return pd.DataFrame(json.loads(capsys.readouterr().out))


def test_the_names_of_files_are_those_that_training_writes() -> None:
    assert (run_folders.ROOT, run_folders.PARTIAL) == (run_config.ROOT, runs.PARTIAL)
    assert (run_folders.STUDY, run_folders.SWEEP) == (runs.STUDY, finding.SWEEP)
    assert (run_folders.ENVIRONMENT, run_folders.METRICS) == (folder.ENVIRONMENT, runs.METRICS)


def test_the_list(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = rows(["runs"], capsys).set_index("run")
    assert set(table.index) == {"tiny", "pair", "grid"}
    assert table["kind"].to_dict() == {"tiny": "run", "pair": "study", "grid": "sweep"}
    assert table["runs"].to_dict() == {"tiny": 1, "pair": 2, "grid": 2}
    assert table["group"].to_dict() == {"tiny": "shift10+copy20", "pair": "copy+shift", "grid": "copy+shift"}
    assert table["seed"].to_dict() == {"tiny": "0", "pair": "0", "grid": "1 2"}
    assert set(table["size"]) == {"2x2x16"}
    assert set(table["steps"]) == {30}
    tiny = table.to_dict("index")["tiny"]
    metrics = pd.read_parquet(place / "runs/tiny/metrics.parquet")
    last = metrics.query("step == 30 and weights == 'averaged' and task == 'shift'").set_index("length")["accuracy"]
    assert [tiny["accuracy"], tiny["accuracy_length"]] == [last[10], 10]  # trained up to 10
    assert [tiny["transfer"], tiny["transfer_length"]] == [last[15], 15]  # halfway to 20
    assert tiny["bytes"] == sum(path.stat().st_size for path in (place / "runs/tiny").rglob("*") if path.is_file())


def test_the_list_for_a_person(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (place / "runs/tiny").rename(place / "runs/tiny.partial")
    assert run(["runs"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert all(text in " ".join(shown.split()) for text in ("pair, study of 2", "grid, sweep of 2", "tiny, unfinished"))
    assert rows(["runs", "grid"], capsys)["run"].tolist() == ["grid/a-seed1", "grid/b-seed2"]


def test_accuracy_as_trained_and_at_transfer(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = place / "runs/tiny/metrics.parquet"
    path.unlink()
    lengths = [5, 10, 12, 15, 17, 20]  # trained up to 10: halfway to 20 is 15
    row = {"step": 30, "weights": "averaged", "task": "shift", "n": 8, "stderr": 0.1, "nll": 1.0}
    pd.DataFrame([{**row, "length": one, "accuracy": 1 - one / 100} for one in lengths]).to_parquet(path)
    found = rows(["runs"], capsys).set_index("run").to_dict("index")["tiny"]
    columns = ("accuracy", "accuracy_length", "transfer", "transfer_length")
    assert [found[column] for column in columns] == [0.9, 10, 0.85, 15]


def test_listing_loads_no_torch(made: Path) -> None:
    code = "import sys; from interp.cli import run; run(['runs']); run(['runs', 'compare', 'tiny', 'tiny']); "
    code += "run(['complete-words', 'plain', 'evaluate', '']); sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code], cwd=made, env=environment, check=True, capture_output=True)


def test_no_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["runs"]) == 0
    assert capsys.readouterr().err == "there is no run under 'runs'; 'interp demo' or 'interp train' makes one\n"
    assert run(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_compare(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = place / "runs/grid/b-seed2"
    metrics = pd.read_parquet(changed / "metrics.parquet")
    (changed / "metrics.parquet").unlink()
    metrics = metrics[metrics["task"] == "shift"].assign(accuracy=0.75, stderr=0.04)
    metrics.to_parquet(changed / "metrics.parquet")
    table = rows(["runs", "compare", "tiny", "grid/b-seed2", "--show", "configuration"], capsys)
    assert table.to_numpy().tolist() == [["seed", "0", "2"]]
    before = pd.read_parquet(place / "runs/tiny/metrics.parquet").query("step == 30 and weights == 'averaged'")
    table = rows(["runs", "compare", "tiny", "grid/b-seed2", "--show", "accuracy"], capsys)
    assert table[["task", "length"]].to_numpy().tolist() == before[["task", "length"]].to_numpy().tolist()
    shift = before["task"].to_numpy() == "shift"
    assert table["difference"][shift].tolist() == pytest.approx((0.75 - before["accuracy"][shift]).tolist())
    assert table["stderr"][shift].tolist() == pytest.approx(((before["stderr"][shift] ** 2 + 0.04**2) ** 0.5).tolist())
    assert table["second"].isna().tolist() == (~shift).tolist()
    assert run(["runs", "compare", "tiny", "pair"]) == 0
    shown = capsys.readouterr().out
    assert "what differs in configuration\nnothing\n" in shown
    assert "end of training; difference: second less first" in shown


BAD = [
    (["runs", "grd"], "unknown study or sweep 'grd'; did you mean 'grid'[?] 'interp runs' lists them"),
    (["runs", "compare", "tiny", "tinny"], "unknown run 'tinny'; did you mean 'tiny'[?] 'interp runs' lists them"),
    (["runs", "compare", "tiny", "grid"], "'grid' is a sweep, not a single run; 'interp runs grid' lists its runs"),
    (
        ["runs", "compare", "tiny", "pair", "--json"],
        "--json and --out take one table, and there are two; add --show configuration or --show accuracy",
    ),
    (["runs", "remove"], "there is nothing to remove; name a run, as 'interp runs' lists them"),
    (["runs", "remove", "tinny", "--yes"], "unknown run 'tinny'; did you mean 'tiny'[?] 'interp runs' lists them"),
    (["runs", "remove", "tiny"], "removing asks first, and there is no terminal to answer from; add --yes"),
    (["runs", "remove", "-x", "--yes"], "Unknown option: -x.* See 'interp runs remove --help'."),
    *(
        (
            ["runs", "remove", name, "--yes"],
            f".*{name}.* is neither a run nor a study nor a sweep; remove it by hand .*",
        )
        for name in ("notes", ".", "runs", "tiny/checkpoints", "tiny/config.json", "..")
    ),
    *(
        (["runs", "remove", name, "--yes"], ".* is a link or lies behind one, which is not followed; remove it by hand")
        for name in ("linked", "runs/linked", "behind/tiny")
    ),
    *(
        (["runs", "remove", name, "--yes"], ".* does not lie below 'runs'; remove it by hand if you must")
        for name in ("elsewhere/other", "runs/../elsewhere/other", "../elsewhere/other")
    ),
    (["runs", "remove", "model", "--yes"], "'model' does not look like a run of ours; remove it by hand if you must"),
    (["runs", "remove", "tiny", "notes", "--yes"], "'notes' is neither .*"),
    (["runs", "remove", "held", "--yes"], "another process is training 'runs/held.partial'; stop it first"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD, ids=[" ".join(arguments)[:50] for arguments, _ in BAD])
def test_what_is_refused(place: Path, refused: Refused, arguments: list[str], text: str) -> None:
    shutil.copytree(place / "runs/tiny", place / "elsewhere/other")
    shutil.copytree(place / "runs/tiny", place / "runs/held.partial")
    (place / "runs/linked").symlink_to(place / "elsewhere/other")
    (place / "runs/behind").symlink_to(place / "runs")
    (place / "runs/notes").mkdir()
    (place / "runs/notes/mine.txt").write_text("mine")
    (place / "runs/model").mkdir()
    (place / "runs/model/config.json").write_text('{"architectures": ["Llama"]}')
    with FileLock(place / "runs/held.partial.lock"):
        refused(arguments, text)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_kind_are_listed_and_removed(place: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (place / "runs/tiny").rename(place / "runs" / name)
    assert name in rows(["runs"], capsys)["run"].tolist()
    assert run(["runs"]) == 0
    assert name in capsys.readouterr().out
    assert run(["runs", "remove", f"runs/{name}" if name.startswith("-") else name, "--yes"]) == 0
    assert sorted(path.name for path in (place / "runs").iterdir()) == ["grid", "pair"]


@pytest.mark.parametrize(("name", "told"), [("notes.md", "notes.md"), ("sub/thesis.tex", "sub")])
def test_what_the_toolkit_did_not_write_is_not_removed(place: Path, refused: Refused, name: str, told: str) -> None:
    mine = place / "runs" / "tiny" / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    refused(["runs", "remove", "tiny", "--yes"], f".*tiny' holds what the toolkit did not write: {told}; move that .*")
    assert mine.read_text() == "mine"


def test_removing_does_not_follow_links_inside(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(place / "runs/tiny", place / "elsewhere")
    (place / "runs/tiny/results/linked").parent.mkdir(exist_ok=True)
    (place / "runs/tiny/results/linked").symlink_to(place / "elsewhere")
    (place / "runs/tiny/results/config-link").symlink_to(place / "elsewhere/config.json")
    before = listing(place / "elsewhere")
    assert run(["runs", "remove", "tiny", "pair", "pair/alone", "grid/a-seed1", "--yes"]) == 0
    assert listing(place / "elsewhere") == before
    assert sorted(path.relative_to(place / "runs").as_posix() for path in (place / "runs").glob("*/*")) == [
        "grid/b-seed2", "grid/sweep.json"
    ]  # fmt: skip
    assert capsys.readouterr().err.count("removed: ") == 4


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("YES ", 0), ("", 1), ("n", 1), ("yess", 1)])
def test_it_asks(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert run(["runs", "remove", "tiny"]) == code
    shown = capsys.readouterr()
    assert "to be removed for good" in shown.out
    assert shown.err == ("removed: runs/tiny\n" if code == 0 else "nothing was removed\n")
    assert (place / "runs/tiny").is_dir() == (code == 1)


def test_the_end_of_input_is_a_no(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(question: str) -> str:
        raise EOFError

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", ended)
    assert run(["runs", "remove", "tiny"]) == 1
    assert capsys.readouterr().err.endswith("nothing was removed\n")
    assert (place / "runs/tiny").is_dir()


def test_an_interrupted_removal_can_be_finished(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.rmtree

    def interrupted(path: Path) -> None:
        if path.name == "checkpoints":
            raise KeyboardInterrupt
        real(path)

    monkeypatch.setattr("shutil.rmtree", interrupted)
    assert run(["runs", "remove", "tiny", "--yes"]) == 130
    assert (place / "runs/tiny/config.json").is_file()
    monkeypatch.setattr("shutil.rmtree", real)
    assert run(["runs", "remove", "tiny", "--yes"]) == 0
    assert not (place / "runs/tiny").exists()


def cut(name: str, count: int) -> Callable[[Path], object]:
    def damaged(path: Path) -> None:
        content = (path / name).read_bytes()
        (path / name).unlink()
        (path / name).write_bytes(content[:count])

    return damaged


WEIGHTS = "checkpoints/step-0000030.averaged.safetensors"


@pytest.mark.parametrize(
    ("hurt", "text"),
    [
        (lambda path: None, ""),
        (cut("config.json", 40), "config.json is no whole JSON object"),
        (lambda path: change(path, mixture=[]), "config.json is not that of a run"),
        (cut(WEIGHTS, 1000), f"{WEIGHTS} is damaged"),
        (cut(WEIGHTS, 0), f"{WEIGHTS} is damaged"),
        (cut(WEIGHTS, -1), f"{WEIGHTS} is damaged"),
        (cut("metrics.parquet", 100), "metrics.parquet is damaged"),
        (lambda path: (path / "environment.json").unlink(), "environment.json is missing"),
        (lambda path: shutil.rmtree(path / "checkpoints"), "it has no checkpoint"),
    ],
)
def test_damage_is_found(place: Path, hurt: Callable[[Path], object], text: str) -> None:
    hurt(place / "runs/tiny")
    found = folder_at(place / "runs/tiny")
    assert found is not None
    assert damage(found) == text


def test_words_for_sizes_and_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [disk(size) for size in (12, 1234, 123_456, 54_700_000, 1_600_000_000)] == [
        "12 B", "1.2 kB", "123 kB", "54.7 MB", "1.6 GB"
    ]  # fmt: skip
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    stamps = [pd.Timestamp(1_000_000 - back, unit="s", tz="UTC").isoformat() for back in (5, 60, 7200, 90_000)]
    assert [age(stamp) for stamp in stamps] == ["5 s", "1 min", "2 h", "1 d"]
