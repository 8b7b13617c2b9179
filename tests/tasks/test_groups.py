"""Groups: who is in them, one vocabulary for all members, other lengths, and their errors."""

import re
from typing import Any

import pytest
import torch

from tasks import Group, InvalidValueError, Member, UnknownNameError, get_group, get_task, list_groups


def lengths(group: Group) -> list[list[tuple[str, int]]]:
    """Names and greatest lengths of main, auxiliaries, controls."""
    roles = [(group.main,), group.auxiliaries, group.controls]
    return [[(member.task.name, member.max_length) for member in role] for role in roles]


def members(group: Group) -> tuple[Member, ...]:
    return (group.main, *group.auxiliaries, *group.controls)


def small(*, main: str = "copy", auxiliary: str = "reverse") -> Group:
    return Group(
        name="mine",
        main=Member(get_task(main, alphabet=3, case="lower"), 4),
        auxiliaries=(Member(get_task(auxiliary, alphabet=2), 8),),
        controls=(),
        source="a test",
    )


# The table of shared facts, section "Groups": main and its length; auxiliaries and theirs. Controls are ours, but for
# the two groups that are controls themselves.
PAPER = {
    "add/carry": [[("reverse_add", 16)], [("no_carry", 32), ("carry_only", 32)], [("copy_first", 32)]],
    "add/subtract": [[("reverse_add", 16)], [("reverse_subtract", 32)], [("copy_first", 32)]],
    "add/multiply": [[("reverse_add", 8)], [("multiply_cot", 16)], [("copy_first", 16)]],
    "add/copy_first": [[("reverse_add", 16)], [("copy_first", 32)], []],
    "copy/recall": [[("copy", 16)], [("mqar", 32)], [("reverse", 32)]],
    "copy/reverse": [[("copy", 16)], [("reverse", 32)], []],
    "capitalize_reverse": [[("capitalize_reverse", 16)], [("capitalize", 32), ("reverse", 32)], [("copy", 32)]],
    "maze": [[("dfs_trace", 32)], [("shortest_path", 64)], []],
    "maze/swapped": [[("shortest_path", 32)], [("dfs_trace", 64)], []],
    "sort/successor": [[("sort", 20)], [("successor", 20)], [("count", 20)]],
    "sort/count": [[("sort", 20)], [("count", 20)], []],
    "sort/fill": [[("sort", 20)], [("fill", 20)], []],
    "increment/successor": [[("increment", 20)], [("digit_successor", 20)], []],
}
OURS = {
    "copy+shift": [[("shift", 10)], [("copy", 20)], [("reverse", 20)]],
    "reverse+shift": [[("shift", 10)], [("reverse", 20)], []],
    "sort+successor": [[("sort", 8)], [("successor", 24)], [("count", 24)]],
}


def test_list_is_sorted_and_complete() -> None:
    assert list_groups() == sorted([*PAPER, *(f"{name}-scaled" for name in PAPER), *OURS])
    assert [get_group(name).name for name in list_groups()] == list_groups()


@pytest.mark.parametrize(("name", "expected"), [*PAPER.items(), *OURS.items()])
def test_members_and_lengths(name: str, expected: list[list[tuple[str, int]]]) -> None:
    assert lengths(get_group(name)) == expected
    assert get_group(name).auxiliary_length == max(length for _, length in expected[1])


@pytest.mark.parametrize("name", PAPER)
def test_lengths_are_skewed_for_task_hinting_only(name: str) -> None:
    hinting = "Task Hinting" in get_group(name).source
    assert hinting == name.startswith(("sort", "increment"))
    for group in (get_group(name), get_group(f"{name}-scaled")):
        assert {member.lengths for member in members(group)} == {"skewed" if hinting else "uniform"}


@pytest.mark.parametrize("name", PAPER)
def test_scaled_groups_are_the_same_tasks_at_small_lengths(name: str) -> None:
    full, scaled = get_group(name), get_group(f"{name}-scaled")
    names = [[[task for task, _ in role] for role in lengths(group)] for group in (full, scaled)]
    assert names[0] == names[1]
    assert all(small.max_length < large.max_length for small, large in zip(members(scaled), members(full), strict=True))
    assert scaled.auxiliary_length <= 20
    assert len(scaled.vocabulary) <= len(full.vocabulary)


def test_groups_have_the_defaults_of_the_papers() -> None:
    assert get_group("maze").main.task.parameters == {"marking": "start", "rows": 8, "columns": 8}
    assert get_group("sort/successor").main.task.parameters["numbers"] == 100
    assert get_group("add/multiply").auxiliaries[0].task.parameters["digits"] == 3


@pytest.mark.parametrize("marking", ["repeated", "none"])
@pytest.mark.parametrize("name", ["add/carry", "maze-scaled", "copy+shift"])
def test_marking_is_every_members(name: str, marking: Any) -> None:
    group = get_group(name).with_marking(marking)
    assert {member.task.marking for member in members(group)} == {marking}
    assert all(member.task.vocabulary == group.vocabulary for member in members(group))
    assert "[BOS]" in group.vocabulary
    assert (group.main.task.marker in group.vocabulary) == (marking == "repeated")
    assert group.with_marking("start") == get_group(name)
    batch = group.main.task.sample(2, length=4, generator=torch.Generator().manual_seed(0))
    repeats = (batch.tokens == group.vocabulary.index.get(group.main.task.marker, -1)).sum(dim=1).tolist()
    assert repeats == ([8, 8] if marking == "repeated" else [0, 0])


@pytest.mark.parametrize("name", list_groups())
def test_every_member_speaks_the_groups_vocabulary(name: str) -> None:
    group = get_group(name)
    assert all(member.task.vocabulary == group.vocabulary for member in members(group))


@pytest.mark.parametrize("name", list_groups())
def test_examples_of_every_member_decode_alike(name: str) -> None:
    group = get_group(name)
    for member in members(group):
        batch = member.task.sample(3, length=5, generator=torch.Generator().manual_seed(0))
        for row in batch.tokens:
            prompt, answer = member.task.prompt_and_answer(group.vocabulary.decode(row))
            assert answer == member.task.solve(prompt)


def test_vocabulary_is_the_union_in_order() -> None:
    # main: a b c = [EOS] [copy]; the auxiliary adds A, B and its marker.
    assert small().vocabulary.tokens == ("a", "b", "c", "=", "[EOS]", "[copy]", "A", "B", "[reverse]")


def test_copy_shift_vocabulary_is_small() -> None:
    assert get_group("copy+shift").vocabulary.tokens == (*"abcdefghijkl=", "[EOS]", "[shift]", "[copy]", "[reverse]")


def test_other_lengths_keep_the_rest() -> None:
    group = get_group("capitalize_reverse")
    other = group.with_lengths(main=3, auxiliary=6)
    assert lengths(other) == [[("capitalize_reverse", 3)], [("capitalize", 6), ("reverse", 6)], [("copy", 6)]]
    assert other.vocabulary == group.vocabulary
    assert (other.name, other.source) == (group.name, group.source)
    assert lengths(group)[0] == [("capitalize_reverse", 16)]


@pytest.mark.parametrize("length", [0, -1, 4097])
def test_impossible_length_is_refused(length: int) -> None:
    text = f"length {length} is not possible for task 'copy'; allowed are 1 to 4096"
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        Member(get_task("copy"), length)
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        get_group("copy+shift").with_lengths(main=10, auxiliary=length)


def test_task_twice_is_refused() -> None:
    text = "group 'mine' names a task twice: copy, copy; each may stand once"
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        small(auxiliary="copy")


def test_main_task_may_stand_alone() -> None:
    group = Group(name="mine", main=Member(get_task("copy"), 4), auxiliaries=(), controls=(), source="a test")
    assert group.auxiliary_length == 4
    assert group.vocabulary == get_task("copy").vocabulary


def test_unknown_group_suggests_the_nearest() -> None:
    listing = "'interp tasks' lists all 29"
    text = f"unknown group 'copy_shift'; did you mean 'copy+shift'? {listing}"
    with pytest.raises(UnknownNameError, match=f"^{re.escape(text)}$"):
        get_group("copy_shift")
    with pytest.raises(UnknownNameError, match=re.escape(f"unknown group 'xyz'; {listing}") + "$"):
        get_group("xyz")


def test_several_markings_are_refused() -> None:
    text = "the tasks of group 'mine' are marked in several ways, repeated and start; choose one"
    with pytest.raises(InvalidValueError, match=f"^{text}$"):
        Group(
            name="mine",
            main=Member(get_task("copy"), 4),
            auxiliaries=(Member(get_task("reverse", marking="repeated"), 8),),
            controls=(),
            source="a test",
        )


def test_a_group_has_its_tasks_marking() -> None:
    main = Member(get_task("copy", marking="repeated"), 4)
    assert Group(name="mine", main=main, auxiliaries=(), controls=(), source="a test").marking == "repeated"
