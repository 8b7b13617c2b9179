"""The command line as a whole: help, version, what it doesn't know, and what becomes of errors."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import interp.commands.tasks
from interp.cli import app, main, run
from tasks import InterpError
from tests.interp.conftest import Refused

COMMANDS = [
    "demo", "tasks", "train", "evaluate", "ablate", "patch", "circuit", "overlap", "attention", "cross", "lengths",
    "pretraining", "primitives", "probe", "theory",
    "association", "study", "isolate", "suggest", "sweep", "figure", "report",
    "runs", "doctor", "completion",
]  # fmt: skip


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    shown = capsys.readouterr()
    assert all(command in shown.out for command in COMMANDS)
    assert shown.err == ""


def test_every_command_is_tested() -> None:
    assert [name for name in app if not name.startswith("-")] == COMMANDS


@pytest.mark.parametrize("command", [[name] for name in COMMANDS] + [["runs", "compare"], ["runs", "remove"]])
def test_help_of_a_command_is_one_sentence_and_two_examples(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(f"Usage: interp {' '.join(command)}")
    place = [line.rstrip() for line in lines].index("Two examples:")
    sentence = " ".join(" ".join(lines[1:place]).split())
    assert re.fullmatch("[A-Z].*[.?]", sentence)
    assert ". " not in sentence
    examples = [line.strip(" •") for line in lines[place + 1 : place + 4] if line.strip()]
    assert len(examples) == 2
    assert all(line.startswith(f"interp {' '.join(command)}") for line in examples)
    assert not lines[place + 4].strip().startswith("•")


def test_help_loads_no_heavy_package() -> None:
    heavy = "{'torch', 'pandas', 'numpy', 'matplotlib', 'plotly', 'tasks', 'training', 'analyses'}"
    code = f"import sys; from interp.cli import run; run(['--help']); sys.exit(str({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "set()"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version("interp-toolkit")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["trian"], ('Unknown command "trian". Did you mean "train"[?] Available commands: demo, tasks, .*[.]{3} See '
         "'interp --help'.")),
        (["tasks", "--legnth", "3"], "Unknown option: --legnth. Did you mean --length[?] See 'interp tasks --help'."),
        (["tasks", "--length", "x"], ("Invalid value for --length: unable to convert \"x\" into int. See 'interp tasks "
         "--help'.")),
        (["tasks", "--length"], ".*--length requires an argument. See 'interp tasks --help'."),
        (["study"], ".*GROUP requires an argument. See 'interp study --help'."),
        (["tasks", "copy", "shift"], ".*'shift'.* See 'interp tasks --help'."),
        (["ablate", "--kind", "men"], 'Invalid value "men" for --kind. .*"zero", "mean", "mean_all".* See .*'),
        (["train", "--condition", "aux"], 'Invalid value "aux" for --condition. .*"auxiliary", "alone", "control".*'),
    ],
)  # fmt: skip
def test_what_it_does_not_know(
    arguments: list[str], text: str, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(arguments, text)


def test_exit_code_reaches_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code in ((["--version"], 0), (["nonsense"], 2)):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == code


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `interp tasks` raise the error."""

    def fail(output: object) -> None:
        raise error

    monkeypatch.setattr(interp.commands.tasks, "_list", fail)


def test_errors_of_many_lines_become_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(InterpError("first line\n    second line"), monkeypatch)
    assert run(["tasks"]) == 2
    assert capsys.readouterr().err == "interp: first line second line\n"


def test_an_interrupt_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(KeyboardInterrupt(), monkeypatch)
    assert run(["tasks"]) == 130
    expected = "interrupted; start the same command again and it goes on from the last checkpoint\n"
    assert capsys.readouterr().err == expected


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(ZeroDivisionError("ours"), monkeypatch)
    with pytest.raises(ZeroDivisionError, match="ours"):
        run(["tasks"])


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error() -> None:
    code = "from interp.cli import main; main(['tasks', 'copy', '--n', '600'])"
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as shown:
        assert shown.stdout is not None
        assert shown.stderr is not None
        assert shown.stdout.readline().startswith("tokens")
        shown.stdout.close()
        errors = shown.stderr.read()
        assert "Traceback" not in errors
        assert "BrokenPipe" not in errors
        assert shown.wait(60) == 0
