"""The page about the command line says what the commands say, and its examples are commands of what there is."""

import re
import shlex
from pathlib import Path

import pytest
from cyclopts import App

from docs.cli_page import PAGE, cli_page, commands
from interp.cli import app
from tasks import list_groups, list_tasks
from training.presets import list_presets

COMMANDS = {" ".join(words): command for words, command in commands(app)}
EXAMPLES = [
    (name, example)
    for name, command in COMMANDS.items()
    for example in re.findall("`(interp [^`]*)`", (command.default_command.__doc__ or "").partition("Args:")[0])
]


def test_page_is_what_the_commands_print() -> None:
    assert PAGE.read_text(encoding="utf-8") == cli_page(), "run `python -m docs.cli_page`"


def test_every_command_is_on_the_page() -> None:
    assert {name for name in app if not name.startswith("-")} <= set(COMMANDS)
    assert {"runs compare", "runs remove"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_two_examples(name: str) -> None:
    found = [example for command, example in EXAMPLES if command == name]
    assert len(found) == 2
    assert len(set(found)) == 2
    assert all(f"{example} ".startswith(f"interp {name} ") for example in found)
    assert max(map(len, found)) <= 76, "a line of a terminal holds it"


@pytest.mark.parametrize("example", [example for _, example in EXAMPLES])
def test_examples_are_understood(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    called, bound, *_ = app.parse_args(shlex.split(example)[1:], exit_on_error=False, print_error=False)
    name = next(name for name in sorted(COMMANDS, key=len, reverse=True) if f"{example} ".startswith(f"interp {name} "))
    assert called is COMMANDS[name].default_command
    given = bound.arguments
    assert given.get("group", "copy+shift") in list_groups()
    assert given.get("preset", "small") in list_presets()
    mentioned = {word for option in ("--tasks", "--task") for word in values(example, option)}
    assert mentioned <= set(list_tasks())


def values(example: str, option: str) -> list[str]:
    """The words that follow an option."""
    words = shlex.split(example)
    if option not in words:
        return []
    rest = words[words.index(option) + 1 :]
    return rest[: next((place for place, word in enumerate(rest) if word.startswith("--")), len(rest))]


def test_the_same_thing_has_the_same_name_everywhere() -> None:
    """Options of several commands take the same kind of values; shared ones come from one place."""
    kinds: dict[str, set[str]] = {}
    for command in COMMANDS.values():
        for one in command.assemble_argument_collection():
            for option in one.names:
                kind = re.sub("<class '(.*)'>", r"\1", str(one.field_info.annotation)).removesuffix(" | None")
                kinds.setdefault(option, set()).add(kind)
    allowed = {"--task", "--length", "--lengths"}  # one of them, or several: of a probe, and of figures
    for option in ("--json", "--out", "--n", "--seed", "--step", "--weights", "--top", "--k"):
        assert len(kinds[option]) == 1, option
    assert "--tasks" in kinds
    assert allowed <= set(kinds)


def test_commands_that_yield_a_table_print_and_write_it() -> None:
    without = {"completion", "figure", "report", "runs remove"}  # a script, a picture, a page, nothing
    for name, command in COMMANDS.items():
        options = {option for one in command.assemble_argument_collection() for option in one.names}
        assert ({"--json", "--out"} <= options) == (name not in without) or name == "figure", name


def test_commands_are_found_in_the_order_of_the_help() -> None:
    inner = App(name="inner")
    inner.command(lambda: None, name="one")
    outer = App(name="outer")
    outer.command(inner)
    outer.command(lambda: None, name="two")
    assert [words for words, _ in commands(outer)] == [["inner", "one"], ["two"]], "inner does nothing by itself"
