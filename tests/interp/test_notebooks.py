"""The notebooks run from a clean kernel, are light, and show something where no kernel runs."""

import re
from pathlib import Path

import nbformat
import pytest

from docs.notebooks.refresh import execute, lighten, notebooks

NAMES = ["1-first-steps", "2-head-overlap", "3-patching-a-circuit", "4-your-own-task", "5-figures-for-a-paper"]
ROOT = Path(__file__).parents[2]


def test_they_are_these() -> None:
    assert [path.stem for path in notebooks()] == NAMES
    assert all(name in (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8") for name in NAMES)


def test_the_run_is_small_and_says_what_it_is() -> None:
    files = [path for path in (ROOT / "docs/notebooks/runs/copy-shift").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files if path.parent.name != "results") < 5_000_000


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_it_is_light_and_shows_pictures_without_a_kernel(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    assert path.stat().st_size < 300_000
    assert len(book.cells) < 40
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert "image/png" in kinds
    assert "application/vnd.jupyter.widget-view+json" not in kinds
    assert "widgets" not in book.metadata
    assert not any(output.output_type == "error" for output in outputs)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)
    assert not re.search(r"https?://(?!jupyter|arxiv)", text)
    for link in re.findall(r"\]\(([\w.-]+\.ipynb)\)", text):
        assert (path.parent / link).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_it_runs_from_a_clean_kernel(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # else the kernel draws nothing into the notebook
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = lighten(execute(path, tmp_path))  # a cell that fails raises
    stored = nbformat.read(path, as_version=4)
    assert [cell.source for cell in book.cells] == [cell.source for cell in stored.cells]
    kinds = [[sorted(out.get("data", {})) for out in cell.get("outputs", [])] for cell in book.cells]
    assert kinds == [[sorted(out.get("data", {})) for out in cell.get("outputs", [])] for cell in stored.cells]
