"""Tasks by name: those of the toolkit, users' own, and what is refused."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
import torch

from interp.asking.groups import chosen_task
from interp.cli import run
from tasks import (
    InvalidValueError,
    Member,
    Ragged,
    Task,
    UnknownNameError,
    get_task,
    list_tasks,
    register_task,
    registry,
)
from tasks.strings import Copy
from training.config import MemberConfig

BUILT_IN = [
    *("capitalize", "capitalize_reverse", "carry_only", "copy", "copy_first", "count", "dfs_trace", "digit_successor"),
    *("fill", "increment", "min", "mqar", "multiply_cot", "no_carry", "reverse", "reverse_add", "reverse_subtract"),
    *("shift", "shortest_path", "sort", "successor"),
]

OWN = '''
"""A task of one's own."""

from dataclasses import dataclass

from tasks import register_task
from tasks.strings import Copy


@register_task
@dataclass(frozen=True)
class Echo(Copy):
    """The word as it is, under another name."""

    name = "echo"
    summary = "abc= -> abc: the word as it is"
'''


@pytest.fixture
def restored() -> Iterator[None]:
    """Forgets what a test registers and imports."""
    tasks, modules = dict(registry._TASKS), set(sys.modules)
    yield
    registry._TASKS.clear()
    registry._TASKS.update(tasks)
    for name in set(sys.modules) - modules:
        if name.startswith("interp_own_"):
            del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restored: None) -> Path:
    """A working directory with a task of one's own."""
    (tmp_path / "mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_list_is_sorted_and_complete() -> None:
    assert list_tasks() == BUILT_IN == sorted(BUILT_IN)


@pytest.mark.parametrize("name", list_tasks())
def test_task_has_the_name_it_is_found_by(name: str) -> None:
    assert get_task(name).name == get_task(name).source == name


@pytest.mark.parametrize("name", list_tasks())
def test_parameters_make_the_task_again(name: str) -> None:
    task = get_task(name, marking="repeated")
    assert get_task(name, **task.parameters) == task
    assert task != get_task(name)


def test_unknown_task_suggests_the_nearest() -> None:
    text = f"unknown task 'revrse'; did you mean 'reverse'? 'interp tasks' lists all {len(BUILT_IN)}"
    with pytest.raises(UnknownNameError, match=f"^{re.escape(text)}$"):
        get_task("revrse")


@pytest.mark.parametrize("parameter", ["alphabets", "version", "max_length", "cases", "vocabulary"])
def test_unknown_parameter_is_refused(parameter: str) -> None:
    text = f"^task 'copy' has no parameter '{parameter}'; it has marking, alphabet, case$"
    with pytest.raises(InvalidValueError, match=text):
        get_task("copy", **{parameter: 3})


# -------------------------------------------------------------------------------------------------- tasks of one's own


def test_task_in_a_file_works_like_any_other(folder: Path) -> None:
    task = get_task("mine.py:Echo", alphabet=3)
    assert (task.name, task.source) == ("echo", "mine.py:Echo")
    batch = task.sample(50, length=6, generator=torch.Generator().manual_seed(0), stream="test")
    for row in batch.tokens:
        prompt, answer = task.prompt_and_answer(task.vocabulary.decode(row))
        assert prompt == answer + "="
    assert type(get_task("mine.py:Echo")) is type(task)  # the file is executed once


def test_decorated_task_is_known_by_its_name(folder: Path) -> None:
    task = get_task("mine.py:Echo")
    assert "echo" in list_tasks()
    assert get_task("echo") == task


def test_file_needs_no_decorator(folder: Path) -> None:
    (folder / "plain.py").write_text(OWN.replace("@register_task\n", "").replace("echo", "plain"))
    assert get_task("plain.py:Echo").name == "plain"
    assert "plain" not in list_tasks()


def test_file_in_another_folder(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "mine.py").rename(folder / "deep" / "mine.py")
    assert get_task("deep/mine.py:Echo").name == "echo"
    assert get_task(f"{folder}/deep/mine.py:Echo").source == f"{folder}/deep/mine.py:Echo"


def test_missing_file_is_refused(folder: Path) -> None:
    text = f"there is no file 'other.py' in {str(folder)!r}; check the path in 'other.py:Echo'"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        get_task("other.py:Echo")


def test_missing_class_is_refused(folder: Path) -> None:
    text = "unknown class 'Eco'; did you mean 'Echo'? 'mine.py' defines Echo"
    with pytest.raises(UnknownNameError, match=f"^{re.escape(text)}$"):
        get_task("mine.py:Eco")


def test_file_that_fails_is_refused_and_can_be_mended(folder: Path) -> None:
    (folder / "broken.py").write_text("1 / 0\n")
    text = "'broken.py' cannot be used: ZeroDivisionError: division by zero"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        get_task("broken.py:Echo")
    (folder / "broken.py").write_text(OWN)
    assert get_task("broken.py:Echo").name == "echo"


def test_syntax_error_names_the_line(folder: Path) -> None:
    (folder / "broken.py").write_text("class :\n")
    with pytest.raises(InvalidValueError, match=r"^'broken.py' cannot be used: SyntaxError: .*line 1"):
        get_task("broken.py:Echo")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("class Echo(Copy):", "class Echo:", "'mine.py:Echo' is no task; a task is a class derived from tasks.Task"),
        ("@dataclass(frozen=True)\n", "", "'Echo' is no dataclass; write @dataclass(frozen=True) above the class"),
        ('    name = "echo"\n', "    name = 3\n", "task 'Echo' has no name; write name = \"...\" in the class"),
        ('name = "echo"', 'name = "copy"', "there is a task 'copy' already; choose another name for 'Echo'"),
    ],
)
def test_class_that_is_no_task_is_refused(folder: Path, old: str, new: str, text: str) -> None:
    source = OWN.replace(old, new)
    if "derived" in text:
        source = source.replace("@register_task\n", "")
    (folder / "mine.py").write_text(source)
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        get_task("mine.py:Echo")


def test_incomplete_class_is_refused(restored: None) -> None:
    @dataclass(frozen=True)
    class Half(Task):
        name = "half"
        summary = "half a task"

        def solve(self, prompt: str) -> str:
            return prompt

        def answers(self, prompts: Ragged) -> Ragged:
            return prompts

    with pytest.raises(InvalidValueError, match="Half' lacks prompt_space, prompts, symbols; define them$"):
        register_task(Half)


def test_a_notebook_may_define_its_task_again(restored: None) -> None:
    def define() -> type[Task]:
        @register_task
        @dataclass(frozen=True)
        class Again(Copy):
            name = "again"

        return Again

    define()
    assert type(get_task("again")) is not define() is type(get_task("again"))


def test_entry_points_offer_tasks(monkeypatch: pytest.MonkeyPatch, restored: None) -> None:
    offered = EntryPoints([EntryPoint("offered", f"{__name__}:Offered", registry.ENTRY_POINTS)])
    monkeypatch.setattr(registry, "entry_points", offered.select)
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__("types").ModuleType(__name__))
    monkeypatch.setattr(sys.modules[__name__], "Offered", Offered, raising=False)
    assert "offered" in list_tasks()
    assert type(get_task("offered")) is Offered
    assert get_task("offered").source == "offered"


@dataclass(frozen=True)
class Offered(Copy):
    """What an installed package offers."""

    name = "offered"


def test_entry_point_under_another_name_is_refused(monkeypatch: pytest.MonkeyPatch, restored: None) -> None:
    offered = EntryPoints([EntryPoint("other", "tasks.strings:Copy", registry.ENTRY_POINTS)])
    monkeypatch.setattr(registry, "entry_points", offered.select)
    text = "the entry point 'other' leads to the task 'copy'; both names must be the same"
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        get_task("other")


def test_a_file_that_was_imported_before_is_the_same_task(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    module = importlib.import_module("mine")
    assert module.Echo.origin == "mine.py:Echo"  # so a run of it can be opened by another process
    assert get_task("mine.py:Echo").source == get_task("echo").source == "mine.py:Echo"
    monkeypatch.delitem(sys.modules, "mine")


def test_file_may_import_its_neighbour(folder: Path) -> None:
    (folder / "near").mkdir()
    (folder / "near" / "neighbour_of_echo.py").write_text("LETTERS = 'ab'\n")
    (folder / "near" / "mine.py").write_text("import neighbour_of_echo\n" + OWN)
    before = list(sys.path)
    assert get_task("near/mine.py:Echo").name == "echo"
    assert sys.path == before


def test_file_that_exits_is_refused(folder: Path) -> None:
    (folder / "exits.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(InvalidValueError, match="^'exits.py' cannot be used: SystemExit: 3$"):
        get_task("exits.py:Echo")


def test_file_whose_task_has_a_known_name_is_refused(folder: Path) -> None:
    (folder / "plain.py").write_text(OWN.replace("@register_task\n", "").replace('"echo"', '"reverse"'))
    with pytest.raises(InvalidValueError, match="^there is a task 'reverse' already; choose another name for 'Echo'$"):
        get_task("plain.py:Echo")


def test_broken_entry_point_is_named_and_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, restored: None, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "240")  # the text on one line
    offered = EntryPoints([EntryPoint("broken", "no_such_package.tasks:Broken", registry.ENTRY_POINTS)])
    monkeypatch.setattr(registry, "entry_points", offered.select)
    text = (
        "the task 'broken' that an installed package offers cannot be loaded: ModuleNotFoundError: "
        "No module named 'no_such_package'; mend or remove that package"
    )
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        get_task("broken")
    assert run(["tasks"]) == 0
    shown = capsys.readouterr().out
    assert f"({text})" in shown
    assert "qWe= -> eWq" in shown


def test_parameters_may_be_numbers_of_any_kind(folder: Path) -> None:
    (folder / "mine.py").write_text(OWN.replace('    name = "echo"', '    share: float = 0.5\n    name = "echo"'))
    task = chosen_task("mine.py:Echo(share=0.25,alphabet=3)")
    assert task.parameters == {"marking": "start", "alphabet": 3, "case": "both", "share": 0.25}
    config = MemberConfig.of(Member(task, 4))
    assert MemberConfig.read(json.loads(config.model_dump_json())) == config
    assert config.member(task.vocabulary).task == task
