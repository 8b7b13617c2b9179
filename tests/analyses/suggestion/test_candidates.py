"""Which tasks are candidates, with which parameters, and the pairs that they make."""

import re
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from analyses.suggestion import candidates
from analyses.suggestion.candidates import adapted, named_tasks, pair_with, pairs_of, related_tasks
from tasks import InterpError, InvalidValueError, Member, Task, get_group, get_task
from tasks.strings import Copy

SHIFT = Member(get_task("shift", alphabet=5), 3)


@dataclass(frozen=True)
class Own(Copy):
    """A task of one's own: it belongs to no family."""

    name: ClassVar[str] = "own"


@pytest.mark.parametrize(
    ("main", "names"),
    [
        ("shift", "capitalize capitalize_reverse copy mqar reverse"),
        ("reverse_add",
         "carry_only copy_first digit_successor increment multiply_cot no_carry reverse_subtract"),
        ("sort", "count fill min successor"),  # mazes have 64 numbers for nodes, which are symbols of sorting as well
        ("dfs_trace", "shortest_path"),
    ],
)  # fmt: skip
def test_related_tasks_are_those_of_one_family(main: str, names: str) -> None:
    related, left_out = related_tasks(Member(get_task(main), 3), length=6)
    assert [task.name for task in related] == names.split()
    assert left_out == {}


def test_they_have_the_main_tasks_parameters() -> None:
    task = get_task("shift", alphabet=5, case="lower", marking="repeated")
    related, left_out = related_tasks(Member(task, 3), length=6)
    assert [one.name for one in related] == ["copy", "mqar", "reverse"]
    for one in related:
        assert one.parameters | {"alphabet": 5, "case": "lower", "marking": "repeated"} == one.parameters
    assert left_out == {
        name: f"case 'lower' is not possible for {name!r}; allowed is 'both'"
        for name in ("capitalize", "capitalize_reverse")
    }


def test_a_task_that_cannot_make_the_lengths_is_left_out() -> None:
    related, left_out = related_tasks(Member(get_task("reverse"), 1), length=6)
    assert "mqar" not in [task.name for task in related]
    assert left_out == {"mqar": "length 1 is not possible for task 'mqar'; allowed are 2 to 4096"}


def test_half_of_the_symbols_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    def lettered(count: int) -> Task:
        return Own(alphabet=count, case="lower")

    main = Member(replace(SHIFT.task, alphabet=9, case="lower"), 3)  # with `=`, ten symbols
    monkeypatch.setattr(candidates, "list_tasks", lambda: ["own", "increment"])
    monkeypatch.setattr(candidates, "adapted", lambda task, _: task)
    for count, related in ((4, True), (3, False)):
        monkeypatch.setattr(candidates, "get_task", lambda _, count=count: lettered(count))
        assert bool(related_tasks(main, length=6)[0]) is related


def test_a_task_of_ones_own_is_related_by_its_symbols_alone() -> None:
    maze = get_task("dfs_trace")
    assert candidates._are_related(get_task("shift"), Own())
    assert candidates._are_related(Own(), get_task("shift"))
    assert not candidates._are_related(maze, Own())


def test_a_broken_task_of_another_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Task:
        raise InterpError(f"{name} is broken")

    monkeypatch.setattr(candidates, "list_tasks", lambda: ["theirs"])
    monkeypatch.setattr(candidates, "get_task", broken)
    assert related_tasks(SHIFT, length=6) == ((), {"theirs": "theirs is broken"})


@pytest.mark.parametrize(
    ("main", "names"),
    [("shift", ["copy", "reverse"]), ("copy", ["shift", "reverse"]), ("mqar", ["shift", "copy", "reverse"])],
)
def test_named_tasks_are_those_of_the_group_but_the_main_one(main: str, names: list[str]) -> None:
    found = named_tasks(get_group("copy+shift"), get_task(main, alphabet=7))
    assert [task.name for task in found] == names
    assert {task.parameters["alphabet"] for task in found} == {7}
    assert {task.parameters["case"] for task in found} == {"both"}, "the main task's, not the group's"


def test_a_parameter_that_a_task_does_not_have_is_left_out() -> None:
    assert adapted(get_task("count"), SHIFT.task) == get_task("count")


def test_a_pair_speaks_the_vocabulary_of_its_two_tasks() -> None:
    group = get_group("copy+shift")
    copy, reverse = pairs_of(group.main, named_tasks(group, group.main.task), length=6)
    assert copy == pair_with(group.main, get_task("copy", alphabet=12, case="lower"), length=6)
    assert (copy.name, copy.main.max_length, copy.controls, copy.source) == ("shift+copy", 10, (), "suggest")
    assert (copy.auxiliaries[0].task.name, copy.auxiliaries[0].max_length) == ("copy", 6)
    assert "[reverse]" not in copy.vocabulary
    assert "[reverse]" in reverse.vocabulary
    assert len(copy.vocabulary) == len(reverse.vocabulary) == 12 + 4


def test_a_candidates_lengths_are_distributed_as_the_main_tasks() -> None:
    pair = pair_with(Member(get_task("sort"), 12, "skewed"), get_task("min"), length=16)
    assert pair.auxiliaries[0].lengths == "skewed"


@pytest.mark.parametrize(
    ("task", "length", "text"),
    [
        (get_task("shift"), 6, "group 'shift+shift' names a task twice: shift, shift; each may stand once"),
        (get_task("copy"), 5000, "length 5000 is not possible for task 'copy'; allowed are 1 to 4096"),
        (get_task("copy", marking="none"), 6,
         "the tasks of group 'shift+copy' are marked in several ways, none and start; choose one"),
    ],
)  # fmt: skip
def test_what_is_no_pair(task: Task, length: int, text: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        pair_with(SHIFT, task, length=length)


def test_a_candidate_must_make_the_main_tasks_length() -> None:
    with pytest.raises(InvalidValueError, match="^length 1 is not possible for task 'mqar'; allowed are 2 to 4096$"):
        pair_with(replace(SHIFT, max_length=1), get_task("mqar"), length=6)
