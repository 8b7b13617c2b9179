"""The page on sweeps: its grid is one, its keys and columns are those there are, its commands and its Python run."""

import re
import shlex
from pathlib import Path

import pytest

from interp.cli import app
from tests.training.sweep.quick import quick_grid
from training import read_grid, run_sweep
from training.sweep.cells import SECTIONS, Choice

PAGE = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The page's first block of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]


def test_its_grid_has_the_cells_that_it_says(tmp_path: Path) -> None:
    (tmp_path / "gap.toml").write_text(block("toml"))
    grid = read_grid(tmp_path / "gap.toml")
    assert grid.name == "gap"
    assert len(grid.cells()) == 3 * 4 * 2 * 3 == 72
    assert "the 72 cells" in block("console")


def test_every_key_of_a_grid_is_explained() -> None:
    table = PAGE.partition("| key | value | if left out |")[2].partition("\n\n")[0]
    assert re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))) == list(
        Choice.model_fields
    )
    assert {f"`{name}.KEY`" for name in SECTIONS} == set(re.findall(r"`\w+[.]KEY`", table))


@pytest.mark.usefixtures("one_thread")
def test_its_tables_are_those_of_a_sweep(tmp_path: Path) -> None:
    result = run_sweep(quick_grid(tmp_path, axes={"seed": [1]}), tmp_path / "sweep")
    explained = dict(re.findall(r"^\| `(\w+)[.]parquet` \| (.*) \|$", PAGE, re.MULTILINE))
    assert {f"{name}.parquet" for name in explained} == {path.name for path in result.folder.glob("*.parquet")}
    assert list(result.status)[1:] == ["run", "status", "error"]
    for column in result.status.columns[1:]:
        assert f"`{column}`" in explained["cells"]


def test_its_commands_are_understood() -> None:
    commands = re.findall(r"[$] +(interp .*)$", PAGE, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        app.parse_args(shlex.split(command, comments=True)[1:], exit_on_error=False, print_error=False)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block("python"), "sweeps.md", "exec"), names)
    assert (tmp_path / "runs" / "gap" / "results.parquet").is_file()
