"""Groups: who is in them, one vocabulary for all members, other lengths, and their errors."""

import re

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


def test_list_is_sorted_and_complete() -> None:
    assert list_groups() == ["capitalize_reverse", "copy+shift", "reverse+shift"]
    assert [get_group(name).name for name in list_groups()] == list_groups()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("copy+shift", [[("shift", 10)], [("copy", 20)], [("reverse", 20)]]),
        ("reverse+shift", [[("shift", 10)], [("reverse", 20)], []]),
        ("capitalize_reverse", [[("capitalize_reverse", 16)], [("capitalize", 32), ("reverse", 32)], [("copy", 32)]]),
    ],
)
def test_members_and_lengths(name: str, expected: list[list[tuple[str, int]]]) -> None:
    assert lengths(get_group(name)) == expected
    assert get_group(name).auxiliary_length == max(length for _, length in expected[1])


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
            text = group.vocabulary.decode(row)
            prompt, answer = member.task.prompt_and_answer(text)
            assert text == f"{member.task.marker}{prompt}{answer}[EOS]"
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


def test_group_without_auxiliary_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="^group 'mine' has no auxiliary; it needs at least one$"):
        Group(name="mine", main=Member(get_task("copy"), 4), auxiliaries=(), controls=(), source="a test")


def test_unknown_group_suggests_the_nearest() -> None:
    listing = "the groups are capitalize_reverse, copy+shift, reverse+shift"
    text = f"unknown group 'copy_shift'; did you mean 'copy+shift'? {listing}"
    with pytest.raises(UnknownNameError, match=f"^{re.escape(text)}$"):
        get_group("copy_shift")
    with pytest.raises(UnknownNameError, match=re.escape(f"unknown group 'sorting'; {listing}") + "$"):
        get_group("sorting")
