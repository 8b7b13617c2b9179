"""The pages about tasks and groups say what the code does."""

import ast
import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from docs.groups_page import groups_page
from interp.cli import run
from tasks import Batch, BrokenRunError, get_group, get_task, list_groups, list_tasks, registry
from tests.tasks.drawing import drawn_rows
from training import load_run

PAGES = Path(__file__).parent.parent / "docs" / "tasks"


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text()


def table(text: str) -> list[list[str]]:
    """The cells of the rows of the text's first table, without the heading; links reduced to their text."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    plain = [re.sub(r"\[(`\w+`)\]\(\w+\.md\)", r"\1", line) for line in lines[2:]]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in plain]


def code_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_every_task_has_its_page_and_every_page_its_task() -> None:
    others = ["groups", "index", "write-your-own"]
    assert sorted(path.stem for path in PAGES.glob("*.md")) == sorted([*list_tasks(), *others])


@pytest.mark.parametrize("name", list_tasks())
def test_page_is_headed_by_the_task(name: str) -> None:
    assert page(name).startswith(f"# `{name}`\n")


@pytest.mark.parametrize("name", list_tasks())
def test_example_is_what_solve_gives_scored_as_the_sampler_does(name: str) -> None:
    task = get_task(name)
    drawn = drawn_rows(page(name), task.marker)
    prompt, answer = task.prompt_and_answer("".join(drawn["tokens"]))
    assert answer == task.solve(prompt)
    batch = task.examples([prompt])
    assert list(task.vocabulary.split(batch.tokens[0])) == drawn["tokens"]
    assert [mark == "x" for mark in drawn["scored"]] == batch.scored[0].tolist()


@pytest.mark.parametrize("name", list_tasks())
def test_marks_stand_under_their_tokens(name: str) -> None:
    lines = page(name).splitlines()
    tokens, scored = (next(line for line in lines if line.startswith(row)) for row in ("tokens", "scored"))
    pieces, marks = (list(re.finditer(r"\S+", line))[1:] for line in (tokens, scored))
    assert all(piece.start() <= mark.start() < piece.end() for piece, mark in zip(pieces, marks, strict=True))


@pytest.mark.parametrize("name", list_tasks())
def test_parameters_and_defaults(name: str) -> None:
    shown = [(row[0].strip("`"), ast.literal_eval(row[1].strip("`"))) for row in table(page(name))]
    own = [field for field in dataclasses.fields(get_task(name)) if field.name != "marking"]
    assert shown == [(field.name, field.default) for field in own]


@pytest.mark.parametrize("name", list_tasks())
def test_lengths_and_source(name: str) -> None:
    task, text = get_task(name), page(name)
    assert re.search(rf"\b{task.min_length} to {task.max_length}\.", text)
    assert f"disjoint from length {task.divided_from} on" in text
    assert re.search(r"^Source: \S", text, flags=re.MULTILINE)


def test_index_lists_every_task_with_its_summary() -> None:
    rows = [
        f"{task.strip('`')}: {example.strip('`')}: {rule}"
        for task, example, rule in table(page("index").split("\n## ")[0])
    ]
    assert rows == [f"{name}: {get_task(name).summary}" for name in list_tasks()]


def test_page_of_groups_is_what_the_groups_say() -> None:
    assert page("groups") == groups_page(), "run `python -m docs.groups_page`"


@pytest.mark.parametrize("name", list_groups())
def test_group_section_has_members_lengths_and_source(name: str) -> None:
    group = get_group(name)
    section = page("groups").split(f"\n## `{name}`\n")[1].split("\n## ")[0]
    members = [("main", group.main)]
    members += [("auxiliary", member) for member in group.auxiliaries]
    members += [("control", member) for member in group.controls]
    for row, (role, member) in zip(table(section), members, strict=True):
        assert row[:2] == [role, f"`{member.task.name}`"]
        assert re.fullmatch(rf"[12] to {member.max_length}, {member.lengths}", row[2])
    assert f"Vocabulary: {len(group.vocabulary)} tokens. Source: {group.source}." in section


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_links_lead_to_pages_and_headings(path: Path) -> None:
    for target, heading in re.findall(r"\]\(([\w.-]+\.md)(?:#([\w-]+))?\)", path.read_text()):
        text = (path.parent / target).read_text()
        assert not heading or heading in re.findall(r"^#+ (.+)$", text.lower(), flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["index", "groups"])
def test_code_runs(name: str) -> None:
    for block in code_blocks(page(name)):
        exec(block, {})


def test_index_example_is_right() -> None:
    (block,) = code_blocks(page("index"))
    names: dict[str, object] = {}
    exec(block, names)
    batch, task = names["batch"], get_task("shift", alphabet=12, case="lower")
    assert isinstance(batch, Batch)
    assert f"# {list(batch.tokens.shape)} each" in block
    assert f"# {task.solve('abl=')!r}, in plain Python" in block


@pytest.mark.parametrize("marking", ["start", "repeated", "none"])
def test_index_shows_markings_as_written(marking: str) -> None:
    rows = {row[0].strip("`"): row[1].strip("`") for row in table(page("index").split("## Markers")[1])}
    task = get_task("copy", marking=marking)
    assert task.vocabulary.decode(task.examples(["ab="]).tokens[0]) == rows[marking]


def commands(text: str) -> list[list[str]]:
    """The commands of a page, without `interp`."""
    return [shlex.split(line)[2:] for line in text.splitlines() if line.startswith("$ interp ")]


def test_own_task_is_written_checked_and_trained_as_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))
    text = page("write-your-own")
    source, use = code_blocks(text)
    (tmp_path / "my_file.py").write_text(source)
    names: dict[str, Any] = {}
    exec(use, names)
    assert names["task"].solve("abcd=") == "bcda"
    assert names["task"].source == "my_file.py:Rotate"
    shown, train, *others = commands(text)
    assert run(shown) == 0
    assert "tokens          [rotate]" in capsys.readouterr().out
    tiny = ["train.steps=2", "train.batch_size=4", "measure.n=4", "measure.checkpoints=1", "model.n_layers=2"]
    assert run([*train, "--set", *tiny]) == 0
    for command in others:
        assert run([*command, *(["--n", "4"] if command[0] != "tasks" else [])]) == 0, command
    made = load_run("rotate")
    assert [(member.task, member.max_length) for member in made.config.mixture] == [
        ("my_file.py:Rotate", 10),
        ("copy", 20),
    ]
    assert made.task("rotate").solve("ba=") == "ab"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_run("../runs/rotate").task("rotate").solve("ba=") == "ab"  # the file is found above the run
    (tmp_path / "my_file.py").rename(tmp_path / "gone.py")
    text = "its tasks cannot be made .*there is no file 'my_file.py' .*start from the folder that holds the task's file"
    with pytest.raises(BrokenRunError, match=text):
        load_run("../runs/rotate")


def test_own_task_page_names_the_entry_points_that_are_read() -> None:
    assert f'[project.entry-points."{registry.ENTRY_POINTS}"]' in page("write-your-own")
