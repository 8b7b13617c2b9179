"""Fixtures of the command line's tests: a place with a tiny trained run, and what every refusal has in common."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from interp.cli import run

PRESET = """
[model]
n_layers = 2
n_heads = 2
d_model = 16
d_mlp = 16

[train]
steps = 30
batch_size = 16
learning_rate = 5e-3
warmup = 5

[measure]
checkpoints = 3
lengths = [3]
n = 8
"""


def listing(folder: Path) -> dict[str, int]:
    """Every file and folder below a folder, with the time of its last change."""
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which no title or table needs more than one line; tests of narrow ones say so themselves."""
    monkeypatch.setenv("COLUMNS", "240")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the preset `tiny.toml`, and a run `tiny` of `copy+shift` that was trained with it."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "tiny.toml").write_text(PRESET)
    with contextlib.chdir(folder):
        assert run(["train", "tiny.toml", "--name", "tiny"]) == 0
    return folder


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder as the working directory; tests leave it as it is."""
    monkeypatch.chdir(made)
    return made


Refused = Callable[[list[str], str], None]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must be refused: one line on stderr that matches, exit code 2, nothing left behind."""

    def check(arguments: list[str], text: str) -> None:
        capsys.readouterr()
        before = listing(Path())
        assert run(arguments) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert re.fullmatch(f"interp: {text}\n", shown.err), shown.err
        assert listing(Path()) == before

    return check
