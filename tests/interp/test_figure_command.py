"""`interp figure`: the file, the numbers beside it, and what is refused."""

import json
from pathlib import Path

import pandas as pd
import pytest

from analyses import GeneralizationGap
from interp.cli import run
from interp.studies.seeds import read_results
from tests.interp.conftest import PRESET, Refused, listing
from tests.interp.seed_results import written
from training import load_run

pytestmark = pytest.mark.usefixtures("one_thread")

GRID = """
name = "lengths"

[fixed]
group = "copy+shift"
preset = "quick.toml"
train.steps = 120
train.learning_rate = 2e-2
measure.checkpoints = 1
condition = "{condition}"

[axes]
seed = [1, 2]
main_length = [2, 3]
auxiliary_length = [3, 4]
"""


@pytest.fixture(scope="module")
def swept(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sweep `lengths`: two seeds of four pairs of lengths."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "quick.toml").write_text(PRESET)
        (folder / "grid.toml").write_text(GRID.format(condition="auxiliary"))
        assert run(["sweep", "grid.toml", "--engine", "serial"]) == 0
    return folder


def test_gap_grid_of_a_sweep(swept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(swept)
    assert run(["figure", "gap-grid", "--n", "8", "--json"]) == 0
    shown = capsys.readouterr()
    folder = swept / "runs" / "lengths"
    assert (folder / "figures" / "gap-grid.svg").read_bytes().startswith(b"<?xml")
    table = pd.read_csv(folder / "figures" / "gap-grid.csv")
    pd.testing.assert_frame_equal(pd.DataFrame(json.loads(shown.out)), table)
    assert table["gap"].max() > 0.05, "numbers that could be wrong"
    assert list(zip(table["main_length"], table["auxiliary_length"], strict=True)) == [(2, 3), (2, 4), (3, 3), (3, 4)]
    for row in table.to_dict("records"):
        lengths = f"shift{row['main_length']}+copy{row['auxiliary_length']}-*"
        gaps = [GeneralizationGap(n=8)(load_run(path))["gap"] for path in folder.glob(lengths)]
        assert len(gaps) == row["seeds"] == 2
        assert row["gap"] == pytest.approx(sum(gaps) / 2)  # pyright: ignore[reportCallIssue, reportArgumentType]


def test_where_it_goes_and_the_papers_table(swept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(swept)
    out = tmp_path / "new" / "grid.pdf"
    assert run(["figure", "gap-grid", "lengths", "--n", "8", "--paper", "--format", "pdf", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in out.parent.iterdir()) == ["grid.csv", "grid.pdf"]


def test_refusals(swept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: Refused) -> None:
    monkeypatch.chdir(swept)
    refused(["figure", "gap-grid", "length"], "unknown sweep 'length'; did you mean 'lengths'[?] .*")
    refused(["figure", "gap-grid", "--weights", "mean"], "unknown weights 'mean'.* has raw, averaged")
    refused(["figure", "gap-grid", "--n", "0"], "n = 0 examples cannot be scored; allowed is 1 or more")
    monkeypatch.chdir(tmp_path)
    refused(["figure", "gap-grid"], "there is no sweep under 'runs'; 'interp sweep' makes one")


def test_a_sweep_without_auxiliaries_has_no_gap(swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                refused: Refused) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(PRESET)
    (tmp_path / "grid.toml").write_text(GRID.format(condition="alone").replace("seed = [1, 2]", "seed = [1]"))
    assert run(["sweep", "grid.toml", "--engine", "serial"]) == 0
    refused(["figure", "gap-grid"], "sweep 'lengths' has no finished run of a main task with an auxiliary, .*")


# --------------------------------------------------------------------------------------------------------------- reuse
@pytest.fixture(scope="module")
def over_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study over seeds `seeds`, of which there are the tables alone."""
    folder = tmp_path_factory.mktemp("over_seeds")
    written(folder / "runs" / "seeds")
    return folder


@pytest.fixture
def there(over_seeds: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(over_seeds)
    return over_seeds


@pytest.mark.parametrize("source", [[], ["seeds"], ["runs/seeds"]], ids=["newest", "name", "folder"])
def test_reuse_of_a_study_over_seeds(there: Path, capsys: pytest.CaptureFixture[str], source: list[str]) -> None:
    assert run(["figure", "reuse", *source, "--json"]) == 0
    shown = capsys.readouterr()
    folder = there / "runs" / "seeds"
    assert (folder / "figures" / "reuse.svg").read_bytes().startswith(b"<?xml")
    assert shown.err.endswith(
        "figure: runs/seeds/figures/reuse.svg\ndata: runs/seeds/figures/reuse.csv\nagain: interp figure reuse seeds "
        "--format svg\n"
    )
    table = pd.read_csv(folder / "figures" / "reuse.csv", keep_default_na=False, na_values=[""])
    expected = read_results(folder).association
    expected = expected[expected["level"] == "pooled"].reset_index(drop=True)
    assert len(table) == 2 * 11 * 3, "conditions, measures, outcomes"
    assert list(table) == list(expected)
    for column in ("detrended", "detrended_low", "p", "q", "seeds_p"):
        assert table[column].tolist() == pytest.approx(expected[column].astype(float).tolist())
    printed = pd.DataFrame(json.loads(shown.out))
    assert printed["detrended"].tolist() == pytest.approx(expected["detrended"].tolist())


def test_reuse_elsewhere_and_in_another_format(there: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = listing(there)
    out = tmp_path / "new" / "fig.pdf"
    assert run(["figure", "reuse", "seeds", "--format", "pdf", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in out.parent.iterdir()) == ["fig.csv", "fig.pdf"]
    assert listing(there) == before
    assert "seeds: reuse and transfer over training" in capsys.readouterr().out


def test_reuse_refused(there: Path, swept: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    for option, others in ((["--n", "0"], ".*gap-grid.*"), (["--weights", "raw"], ".*"), (["--paper"], "gap-grid")):
        refused(
            ["figure", "reuse", *option],
            f"{option[0]} goes with {others}; figure 'reuse' has no such option: leave it out",
        )
    refused(["figure", "reuse", "seed"], "unknown sweep 'seed'; did you mean 'seeds'[?] .*")
    refused(["figure", "reus"], 'Invalid value "reus" for NAME. .*"gap-grid".*"reuse".*')
    monkeypatch.chdir(swept)
    refused(["figure", "reuse"], "'.*lengths' has no tables of a study over seeds; 'interp study GROUP --seeds 5' .*")


# ----------------------------------------------------------------------------------------------------- figures of a run
def drawn(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[pd.DataFrame, str]:
    """Draws a figure: its numbers as printed, which are those of the file, and what stands on stderr."""
    capsys.readouterr()
    assert run(["figure", *arguments, "--json"]) == 0
    shown = capsys.readouterr()
    table = pd.DataFrame(json.loads(shown.out))
    (data, *_) = [line.removeprefix("data: ") for line in shown.err.splitlines() if line.startswith("data: ")]
    assert len(pd.read_csv(data)) == len(table) > 0
    assert list(pd.read_csv(data)) == list(table)
    return table, shown.err


def test_accuracy_of_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--format", "pgf", "--width", "column", "--out", "figures/a.pgf"]
    table, err = drawn(["accuracy-by-length", "tiny", "--n", "16", "--lengths", "2", "3", *out], capsys)
    assert table["series"].tolist() == ["shift", "shift", "copy", "copy"]
    assert (table["low"] <= table["accuracy"]).all()
    assert (table["accuracy"] <= table["high"]).all()
    assert err.endswith("again: interp figure accuracy-by-length tiny --lengths 2 3 --n 16 --format pgf --width column "
                        "--out figures/a.pgf\n")  # fmt: skip
    first = (here / "figures" / "a.pgf").read_bytes()
    again = err.splitlines()[-1].removeprefix("again: interp ").split()
    assert run(again) == 0
    assert (here / "figures" / "a.pgf").read_bytes() == first


def test_accuracy_of_a_study_over_seeds(there: Path, capsys: pytest.CaptureFixture[str], refused: Refused) -> None:
    table, _ = drawn(["accuracy-by-length", "seeds"], capsys)
    expected = read_results(there / "runs" / "seeds").accuracy
    expected = expected[(expected["weights"] == "averaged") & (expected["condition"] == "alone")]
    mine = table[table["series"] == "shift, trained alone"]
    assert mine["accuracy"].tolist() == pytest.approx(expected.groupby("length")["accuracy"].mean().tolist())
    assert mine["seeds"].tolist() == [3] * 8
    refused(["figure", "accuracy-by-length", "seeds", "--n", "5"], "'.*seeds' is a study over seeds, .* leave out .*")
    refused(
        ["figure", "accuracy-by-length", "seeds", "--weights", "mean"], "weights 'mean' are not in .* averaged, raw"
    )


def test_maps_and_overlap_of_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["tiny", "--metric", "nll", "--n", "16", "--length", "3"]
    maps, _ = drawn(["ablation-maps", *asked], capsys)
    assert maps.groupby("task", sort=False).size().to_dict() == {"shift": 4, "copy": 4}
    both, err = drawn(["overlap", *asked], capsys)
    assert both["first_effect"].tolist() == pytest.approx(maps.loc[maps["task"] == "shift", "effect"].tolist())
    assert both["second_effect"].tolist() == pytest.approx(maps.loc[maps["task"] == "copy", "effect"].tolist())
    assert "data: runs/tiny/figures/overlap-likeness.csv\n" in err
    assert run(["overlap", *asked, "--json"]) == 0
    likeness = pd.DataFrame(json.loads(capsys.readouterr().out))
    kept = pd.read_csv(here / "runs" / "tiny" / "figures" / "overlap-likeness.csv")
    assert kept["estimate"].tolist() == pytest.approx(likeness["estimate"].tolist()), "as `interp overlap` has it"


def test_attention_circuit_and_primitives_of_a_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attention, _ = drawn(["attention", "tiny", "--heads", "0.1", "1.0", "--length", "3"], capsys)
    sums = attention.groupby(["task", "layer", "head", "query"])["weight"].sum()
    assert sums.tolist() == pytest.approx([1.0] * len(sums))
    assert set(zip(attention["layer"], attention["head"], strict=True)) == {(0, 1), (1, 0)}
    asked = ["circuit", "tiny", "--n", "4", "--length", "3", "--size", "0.2"]
    fast, err = drawn(asked, capsys)
    assert fast.groupby("task").size().nunique() == 1
    assert "data: runs/tiny/figures/circuit-primitives.csv\n" in err
    exact, _ = drawn([*asked, "--edges", "paths", "--tasks", "shift"], capsys)
    assert len(exact) == len(fast) // 2
    assert {"sender", "receiver", "score", "stderr"} <= set(exact)
    primitives, _ = drawn(["primitives", "tiny", "--n", "16", "--length", "3", "--tasks", "copy"], capsys)
    assert set(primitives["task"]) == {"copy"}


def test_theory_needs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                             refused: Refused) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    asked = ["theory", "--lengths", "4", "9", "--precisions", "3bit", "--noises", "0", "--n", "2", "--code", "absolute"]
    table, err = drawn(asked, capsys)
    plain = table[table["temperature"] == "none"]
    assert plain["accuracy"].tolist() == [1, 0], "3 bits have no 9 (docs/results/theory.md)"
    assert err.splitlines()[0] == "figure: runs/figures/theory.svg"
    refused(["figure", "theory", "tiny"], "figure 'theory' computes a construction and reads no run, got 'tiny'; .*")


def test_figures_of_a_run_refused(here: Path, refused: Refused) -> None:
    refused(
        ["figure", "overlap", "tiny", "--tasks", "shift"], "figure 'overlap' shows two tasks, got shift; name two, .*"
    )
    refused(["figure", "overlap", "tiny", "--tasks", "shift", "shift"], "tasks shift shift name one twice; .* once")
    refused(["figure", "attention", "tiny", "--tasks", "shift"], "heads shared by 1 tasks are not searched for; .*")
    refused(["figure", "attention", "tiny", "--heads", "9.1"], "head 9.1 does not exist: .*")
    refused(["figure", "attention", "tiny", "--n", "4"], "--n goes with .*; figure 'attention' has no such option: .*")
    refused(["figure", "circuit", "tiny", "--size", "0"], "size 0.0 is no share of the edges; .*")
    refused(["figure", "ablation-maps", "tinny"], "unknown run 'tinny'; did you mean 'tiny'[?] .*")
    refused(["figure", "ablation-maps", "tiny", "--width", "wide"], 'Invalid value "wide" for --width. .*')
