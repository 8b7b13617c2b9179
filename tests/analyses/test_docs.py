"""The pages on analyses: every public name is there, columns are the tables', and the examples run."""

import inspect
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

import analyses
from analyses import effects, list_metrics, overlap
from analyses.circuits import curve

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "analyses").glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "name", [name for name, thing in vars(analyses).items() if name[0] != "_" and not inspect.ismodule(thing)]
)
def test_every_public_name_is_explained(name: str) -> None:
    assert any(
        re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", page.read_text(encoding="utf-8")) for page in DOCS.rglob("*.md")
    )


@pytest.mark.parametrize(
    ("page", "columns"),
    [("circuits", curve.COLUMNS), ("head-ablation", effects.COLUMNS), ("head-overlap", overlap.COLUMNS)],
)
def test_every_column_is_explained_in_order(page: str, columns: Sequence[str]) -> None:
    text = (DOCS / "analyses" / f"{page}.md").read_text(encoding="utf-8")
    table = text.partition("| column | meaning |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == columns


def test_every_metric_is_explained() -> None:
    text = (DOCS / "analyses" / "head-ablation.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \| .*(?:in \[0, 1\]|nats)", text, re.MULTILINE) == list_metrics()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_examples_run(
    page: Path, tiny_study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_study, tmp_path / "runs" / "demo")
    monkeypatch.chdir(tmp_path)
    examples = blocks(page, "python")
    assert examples
    for example in examples:
        exec(compile(example, page.name, "exec"), {})
    assert re.search("^0 ", capsys.readouterr().out, re.MULTILINE)  # a table was printed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_understood(page: Path) -> None:
    from interp.cli import app

    lines = [line.removeprefix("$ ") for block in blocks(page, "console") for line in block.splitlines()]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "interp"
        app.parse_args(arguments, exit_on_error=False, print_error=False)
