"""Shell completion: candidates for every kind of word, and what a real bash makes of them."""

import json
import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analyses.metrics import list_metrics
from analyses.primitives.registry import list_primitives
from analyses.probing.catalogue import list_labels
from interp.cli import app, run
from interp.commands.completion import SCRIPTS
from interp.completion import known_names
from interp.completion.completing import candidates
from interp.completion.shell_words import escaped, replacements, words_of
from tasks import list_groups, list_tasks
from tests.interp.conftest import Refused
from training.presets import list_presets


def test_the_names_are_those_of_the_packages() -> None:
    assert list(known_names.TASKS) == list_tasks()
    assert list(known_names.GROUPS) == list_groups()
    assert list(known_names.METRICS) == list_metrics()
    assert sorted(known_names.LABELS) == sorted(list_labels())
    assert sorted(known_names.PRIMITIVES) == sorted(list_primitives())
    assert known_names.presets() == sorted(list_presets())


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the runs tiny and demo, the latter named as a command is, a sweep of one run, and odd names."""
    monkeypatch.chdir(tmp_path)
    for name in ("tiny", "demo", "grid/one", "with space", "it's", "a=b:c", "größe", "-x", "$HOME", "<script>", "x;y"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        shutil.copy(made / "runs/tiny/config.json", tmp_path / "runs" / name)
    (tmp_path / "runs/grid/sweep.json").write_text(json.dumps({"format": 3, "grid": {}}))
    (tmp_path / "runs/new\nline").mkdir()
    shutil.copy(made / "runs/tiny/config.json", tmp_path / "runs/new\nline")
    return tmp_path


RUNS = {"tiny", "demo", "with space", "it's", "a=b:c", "größe", "runs/-x", "$HOME", "<script>", "x;y"}

CASES = [
    (["ev"], {"evaluate"}),
    (["--v"], {"--version"}),
    (["evaluate", ""], RUNS | {"grid/"}),
    (["evaluate", "ti"], {"tiny"}),
    (["evaluate", "grid/"], {"grid/one"}),
    (["evaluate", "demo", "--js"], {"--json"}),
    (["evaluate", "demo", "demo"], set()),
    (["overlap", "tiny", "g"], {"grid", "größe"}),
    (["ablate", "demo", "--ki"], {"--kind"}),
    (["ablate", "--kind", "me"], {"mean", "mean_all"}),
    (["ablate", "--kind=me"], {"--kind=mean", "--kind=mean_all"}),
    (["ablate", "--kind", "mean", "de"], {"demo"}),
    (["ablate", "--metric", "n"], {"nll"}),
    (["ablate", "--json", "de"], {"demo"}),
    (["ablate", "--heads", "0.1", "de"], set()),
    (["ablate", "--out", ""], set()),
    (["evaluate", "--tasks", "copy", "capitalize_"], {"capitalize_reverse"}),
    (["evaluate", "--task", "revers"], {"reverse", "reverse_add", "reverse_subtract"}),
    (["study", "copy+"], {"copy+shift"}),
    (["train", "small-"], {"small-nope", "small-sort"}),
    (["tasks", "mq"], {"mqar"}),
    (["probe", "--label", "carry"], {"carry_in"}),
    (["runs", "comp"], {"compare"}),
    (["runs", ""], {"compare", "remove", "grid"}),
    (["runs", "compare", "tiny", "de"], {"demo"}),
    (["runs", "remove", "tiny", "--"], {"--yes", "--help"}),
    (["completion", "b"], {"bash"}),
    (["nothing", ""], set()),
    (["evaluate", "--", "-"], set()),
]


@pytest.mark.parametrize(("words", "expected"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_candidates(place: Path, words: list[str], expected: set[str]) -> None:
    assert set(candidates(app, words)) == expected


def test_every_command_and_option_is_offered(place: Path) -> None:
    names = [name for name in app if not name.startswith("-")]
    assert candidates(app, [""]) == names
    for name in names:
        assert "--help" in candidates(app, [name, "--"])


@pytest.mark.parametrize(
    ("line", "words", "raw"),
    [
        ("interp ", ["interp", ""], ""),
        ("interp  ev", ["interp", "ev"], "ev"),
        (r"interp x with\ sp", ["interp", "x", "with sp"], r"with\ sp"),
        ("interp 'with sp", ["interp", "with sp"], "'with sp"),
        ('interp "a\'b" ""', ["interp", "a'b", ""], '""'),
        (r"interp 'a\b' c", ["interp", r"a\b", "c"], "c"),
    ],
)
def test_words_of_an_unfinished_line(line: str, words: list[str], raw: str) -> None:
    assert words_of(line) == (words, raw)


def test_replacements_begin_behind_the_last_break() -> None:
    breaks = " \t\n\"'><=;|&(:"
    assert replacements(["a=b:c d"], "a=b", breaks) == [r"b:c\ d"]
    assert replacements(["a=b:c d"], "a=b:", breaks) == [r"c\ d"]
    assert replacements(["with space"], "'wi", breaks) == ["with space"]
    assert replacements(["it's"], "'it", breaks) == [], "no quote can stand in quotes"
    assert replacements(["$(rm x)", "`a`", "b\\", 'a"', "!a", "a b"], '"', breaks) == [
        r"\$(rm x)", r"\`a\`", r"b\\", "a b"
    ], "nothing in a name is run"  # fmt: skip
    assert escaped("<a b>$") == r"\<a\ b\>\$"


CALLER = """#!/bin/sh
if [ "$1" = complete-words ]; then
    exec {python} -c "from interp.cli import main; main()" "$@"
fi
printf '[%s]' "$@"
echo .
"""
"""A program that lets our command line complete, and else shows the words that it was called with."""

TYPED = {
    "interp eval\t ti\t": ["evaluate", "tiny"],
    "interp ablate demo --metr\t nl\t": ["ablate", "demo", "--metric", "nll"],  # demo is a run and a command
    "interp runs remove with\t": ["runs", "remove", "with space"],
    "interp overlap a=b:\t": ["overlap", "a=b:c"],
    "interp evaluate it\t": ["evaluate", "it's"],
    "interp evaluate \\$H\t": ["evaluate", "$HOME"],
    "interp evaluate 'with\t": ["evaluate", "with space"],
    'interp evaluate "with\t': ["evaluate", "with space"],
    'interp evaluate "\\$H\t': ["evaluate", "$HOME"],
    'interp evaluate "$H\t': ["evaluate", "$HOME"],
    "interp evaluate grö\t": ["evaluate", "größe"],
    "interp evaluate gri\ton\t": ["evaluate", "grid/one"],
}
"""What is typed, and the words that the program is to be called with."""


def test_a_real_bash_completes_commands_options_and_names_of_runs(place: Path, tmp_path: Path) -> None:
    caller = tmp_path / "bin" / "interp"
    caller.parent.mkdir()
    caller.write_text(CALLER.format(python=sys.executable))
    caller.chmod(0o755)
    (tmp_path / "completion").write_text(SCRIPTS["bash"])
    root = Path(__file__).parents[2]
    environment = {
        **os.environ, "PATH": f"{caller.parent}:{os.environ['PATH']}", "PYTHONPATH": str(root), "LC_ALL": "C.UTF-8",
        "TERM": "dumb", "INPUTRC": "/dev/null", "HISTFILE": "/dev/null", "PS1": "$ ",
    }  # fmt: skip
    ours, theirs = pty.openpty()
    command = ["bash", "--noprofile", "--norc", "-i"]
    bash = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=place, env=environment)
    try:
        typed = ["source completion", *TYPED, "exit"]
        os.write(ours, "".join(f"{line}\n" for line in typed).encode())
        shown = read(ours, until="".join(f"[{word}]" for word in list(TYPED.values())[-1]) + ".")
        assert bash.wait(20) == 0
    finally:
        bash.kill()
        bash.wait()
        os.close(ours)
        os.close(theirs)
    called = [line for line in shown.splitlines() if line.startswith("[")]
    assert called == ["".join(f"[{word}]" for word in words) + "." for words in TYPED.values()]


def read(terminal: int, *, until: str) -> str:
    """What a terminal shows, up to a text, or until nothing comes for 20 seconds."""
    shown = b""
    while until.encode() not in shown and select.select([terminal], [], [], 20)[0]:
        shown += os.read(terminal, 4096)
    return shown.decode()


@pytest.mark.parametrize("shell", list(SCRIPTS))
def test_the_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (SCRIPTS[shell], "")


def test_what_the_scripts_ask_for(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["complete-words", "plain", "evaluate", "with"]) == 0
    assert capsys.readouterr().out == "with space\n"
    assert run(["complete-words", "bash", "interp evaluate with", " "]) == 0
    assert capsys.readouterr().out == "with\\ space\n"
    assert run(["complete-words"]) == 0
    assert capsys.readouterr().out == "".join(f"{name}\n" for name in candidates(app, []))


PLACES = {
    "bash": ".local/share/bash-completion/completions/interp",
    "zsh": ".zfunc/_interp",
    "fish": ".config/fish/completions/interp.fish",
}


@pytest.mark.parametrize("shell", list(SCRIPTS))
def test_installing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], refused: Refused, shell: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / PLACES[shell]
    for _ in range(2):  # an older one of ours is replaced
        assert run(["completion", shell, "--install"]) == 0
        assert capsys.readouterr().err.startswith(f"written: {path}\n")
        assert path.read_text() == SCRIPTS[shell]
        assert [one.name for one in path.parent.iterdir()] == [path.name]
    path.write_text("# another program's")
    refused(["completion", shell, "--install"], "'.*' is not a script of ours; move it away, then install again")


def test_a_shell_that_it_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    monkeypatch.chdir(tmp_path)
    refused(["completion", "tcsh"], 'Invalid value "tcsh" for SHELL. .*"bash", "zsh", "fish".*')
