"""The page about the command line says what the commands say, and its examples are commands."""

import re
import shlex

import pytest

from docs.cli_page import PAGE, cli_page
from interp.cli import app

DOCSTRINGS = [app[name].default_command.__doc__ or "" for name in app if not name.startswith("-")]
EXAMPLES = [example for text in DOCSTRINGS for example in re.findall("`(interp [^`]*)`", text)]


def test_page_is_what_the_commands_print() -> None:
    assert PAGE.read_text(encoding="utf-8") == cli_page(), "run `python -m docs.cli_page`"


def test_every_command_has_an_example() -> None:
    assert all("`interp " in text for text in DOCSTRINGS)


@pytest.mark.parametrize("command", EXAMPLES)
def test_examples_are_understood(command: str) -> None:
    called, *_ = app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)
    assert called.__name__ == command.split()[1]
