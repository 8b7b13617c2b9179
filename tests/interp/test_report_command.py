"""`interp report` of runs: what it measures once and keeps, and what further commands add to a page."""

from pathlib import Path

import pandas as pd
import pytest

from analyses import Primitives, shared_primitives
from interp.cli import run
from interp.findings.extras import extras_of
from interp.findings.runs import run_findings
from tasks import InvalidValueError
from tests.interp.conftest import listing
from training import HookedTransformer, load_run

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_run_has_a_page_and_no_model_runs_twice(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "tiny.html"
    assert run(["report", "tiny", "--out", str(page)]) == 0
    shown = capsys.readouterr()
    assert f"page: {page}\n" in shown.err
    assert "shift" in shown.out
    first, before = page.read_bytes(), listing(here / "runs")
    monkeypatch.setattr(HookedTransformer, "forward", None)  # whoever runs a model now fails
    assert run(["report", "runs/tiny", "--out", str(page)]) == 0
    assert page.read_bytes() == first
    assert listing(here / "runs") == before


def test_the_findings_of_a_run_are_those_of_the_commands(here: Path, tmp_path: Path) -> None:
    (found,) = run_findings(["tiny"])
    out = tmp_path / "ablation.csv"
    about = ["--metric", "nll", "--length", str(found.length), "--out", str(out)]
    assert run(["ablate", "tiny", "--heads", *about]) == 0
    own = found.ablation.query("metric == 'nll'")["effect"].tolist()
    assert pd.read_csv(out)["effect"].tolist() == pytest.approx(own, abs=1e-6)
    assert found.settings["train.steps"] == 30


def test_too_many_runs_are_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = load_run("tiny")
    monkeypatch.setattr("interp.findings.runs.runs_of", lambda names: [one] * 9)
    with pytest.raises(InvalidValueError, match="^one page compares at most 8 runs, got 9; name fewer"):
        run_findings(["a sweep"])


def test_extras_are_what_the_commands_have_kept(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = load_run("tiny")
    assert not len(extras_of(one, "tiny").circuit)
    monkeypatch.setattr("interp.findings.extras.Primitives", lambda: Primitives(permutations=20))
    measured = extras_of(one, "tiny", missing="measure")
    assert set(measured.primitives["task"]) == {"shift", "copy"}
    by_task = [part for _, part in measured.primitives.groupby("task", sort=False)]
    pd.testing.assert_frame_equal(measured.shared_primitives, shared_primitives(by_task))
    for command in (["cross", "tiny"], ["circuit", "tiny"], ["circuit", "tiny", "--show", "edges"]):
        assert run(command) == 0
    capsys.readouterr()
    monkeypatch.setattr(HookedTransformer, "forward", None)
    read = extras_of(one, "tiny")
    pd.testing.assert_frame_equal(read.primitives, measured.primitives)
    assert set(read.cross["ablated"]) == set(read.circuit["task"]) == set(read.edges["task"]) == {"shift", "copy"}
