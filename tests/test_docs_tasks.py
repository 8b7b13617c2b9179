"""The pages about tasks and groups say what the code does."""

import ast
import dataclasses
import re
from pathlib import Path

import pytest
import torch

from tasks import Batch, Group, get_group, get_task, list_groups, list_tasks
from tests.tasks.drawing import drawn_rows

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
    assert sorted(path.stem for path in PAGES.glob("*.md")) == sorted([*list_tasks(), "groups", "index"])


@pytest.mark.parametrize("name", list_tasks())
def test_page_is_headed_by_the_task(name: str) -> None:
    assert page(name).startswith(f"# `{name}`\n")


@pytest.mark.parametrize("name", list_tasks())
def test_example_is_what_solve_gives(name: str) -> None:
    task = get_task(name)
    drawn = drawn_rows(page(name), task.marker)
    text = "".join(drawn["tokens"])
    prompt, answer = task.prompt_and_answer(text)
    assert text == f"{task.marker}{prompt}{answer}[EOS]"
    assert answer == task.solve(prompt)
    assert drawn["scored"] == ["."] * (1 + len(prompt)) + ["x"] * (len(answer) + 1)


@pytest.mark.parametrize("name", list_tasks())
def test_example_is_scored_as_the_sampler_does(name: str) -> None:
    task = get_task(name)
    drawn = drawn_rows(page(name), task.marker)
    batch = task.sample(1, length=drawn["tokens"].index("=") - 1, generator=torch.Generator().manual_seed(0))
    assert [mark == "x" for mark in drawn["scored"]] == batch.scored[0].tolist()
    Batch(task.vocabulary.ids(drawn["tokens"])[None], batch.scored)


@pytest.mark.parametrize("name", list_tasks())
def test_marks_stand_under_their_tokens(name: str) -> None:
    lines = page(name).splitlines()
    tokens, scored = (next(line for line in lines if line.startswith(row)) for row in ("tokens", "scored"))
    pieces, marks = (list(re.finditer(r"\S+", line))[1:] for line in (tokens, scored))
    assert all(piece.start() <= mark.start() < piece.end() for piece, mark in zip(pieces, marks, strict=True))


@pytest.mark.parametrize("name", list_tasks())
def test_parameters_and_defaults(name: str) -> None:
    shown = [(row[0].strip("`"), ast.literal_eval(row[1].strip("`"))) for row in table(page(name))]
    assert shown == [(field.name, field.default) for field in dataclasses.fields(get_task(name))]


@pytest.mark.parametrize("name", list_tasks())
def test_lengths_and_source(name: str) -> None:
    task, text = get_task(name), page(name)
    assert f"1 to {task.max_length}." in text
    assert f"disjoint from length {task.divided_from} on" in text
    assert re.search(r"^Source: \S", text, flags=re.MULTILINE)


def test_index_lists_every_task_with_its_summary() -> None:
    rows = [f"{task.strip('`')}: {example.strip('`')}: {rule}" for task, example, rule in table(page("index"))]
    assert rows == [f"{name}: {get_task(name).summary}" for name in list_tasks()]


def group_rows(group: Group) -> list[list[str]]:
    """One row per member: role, task, lengths, and the task's parameters."""
    roles = {"main": (group.main,), "auxiliary": group.auxiliaries, "control": group.controls}
    return [
        [role, f"`{member.task.name}`", f"1 to {member.max_length}", *map(str, member.task.parameters.values())]
        for role, members in roles.items()
        for member in members
    ]


def test_every_group_has_its_section() -> None:
    assert re.findall(r"^## `(.+)`$", page("groups"), flags=re.MULTILINE) == list_groups()


@pytest.mark.parametrize("name", list_groups())
def test_group_section_has_members_lengths_and_source(name: str) -> None:
    group = get_group(name)
    section = page("groups").split(f"\n## `{name}`\n")[1].split("\n## ")[0]
    assert table(section) == group_rows(group)
    assert f"Vocabulary: {len(group.vocabulary)} tokens. Source: {group.source}." in section


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_links_lead_to_pages_and_headings(path: Path) -> None:
    for target, heading in re.findall(r"\]\(([\w.]+\.md)(?:#([\w-]+))?\)", path.read_text()):
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
