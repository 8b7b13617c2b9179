"""The command line: one file per command under `interp/commands`, heavy imports inside the commands."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError

from interp.commands.ablate import ablate
from interp.commands.association import association
from interp.commands.attention import attention
from interp.commands.circuit import circuit
from interp.commands.completion import WORDS, complete_words, completion
from interp.commands.cross import cross
from interp.commands.demo import demo
from interp.commands.doctor import doctor
from interp.commands.evaluate import evaluate
from interp.commands.figure import figure
from interp.commands.isolate import isolate
from interp.commands.lengths import lengths
from interp.commands.overlap import overlap
from interp.commands.patch import patch
from interp.commands.pretraining import pretraining
from interp.commands.primitives import primitives
from interp.commands.probe import probe
from interp.commands.report import report
from interp.commands.runs import runs
from interp.commands.study import study
from interp.commands.suggest import suggest
from interp.commands.sweep import sweep
from interp.commands.tasks import tasks
from interp.commands.theory import theory
from interp.commands.train import train

if TYPE_CHECKING:
    from rich.console import Console


def _version() -> str:
    from importlib.metadata import version  # loads much that only this needs

    return version("interp-toolkit")


app = App(
    name="interp",
    help="Which attention heads do two tasks share, and does that explain why one extrapolates to the other's lengths?",
    help_format="markdown",
    version=_version,
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
for command in (
    demo,
    tasks,
    train,
    evaluate,
    ablate,
    patch,
    circuit,
    overlap,
    attention,
    cross,
    lengths,
    pretraining,
    primitives,
    probe,
    theory,
    association,
    study,
    isolate,
    suggest,
    sweep,
    figure,
    report,
    runs,
    doctor,
    completion,
):
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command.

    Exit code 0: done; 1: done, but a cell of a sweep failed, something needed is broken (`interp doctor`), or the
    answer was no (`interp runs remove`); 2: the user's mistake, told in one line; 130: interrupted.
    """
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit code."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print("interrupted; start the same command again and it goes on from the last checkpoint", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output is gone
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        return _refuse(f"cannot use {str(error.filename)!r}: {error.strerror}; choose another name or place")
    except Exception as error:
        from tasks.errors import InterpError  # not above: it loads torch, which no help text needs

        if isinstance(error, InterpError):
            return _refuse(str(error))
        raise


def _run(arguments: Sequence[str]) -> int:
    if arguments[:1] == [WORDS]:
        return complete_words(app, arguments[1:])
    try:
        code = app(
            arguments, console=_console(arguments), exit_on_error=False, print_error=False,
            result_action="return_value",
        )  # fmt: skip
    except CycloptsError as error:
        return _refuse(f"{error} See '{' '.join(('interp', *(error.command_chain or ())))} --help'.")
    return code if isinstance(code, int) else 0


def _console(arguments: Sequence[str]) -> "Console | None":
    """For a help text, the terminal as wide as it is now; cyclopts would keep the width of the first one."""
    if arguments and not {"--help", "-h"} & set(arguments):
        return None
    from rich.console import Console

    return Console()


def _refuse(text: str) -> int:
    print("interp: " + " ".join(text.split()), file=sys.stderr)
    return 2
