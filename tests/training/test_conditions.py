"""What a condition trains on, and where accuracy is measured."""

import pytest

from tasks import InvalidValueError, get_group
from training import load_preset
from training.conditions import (
    CONDITIONS,
    condition_config,
    conditions_of,
    marked_lengths,
    members_of,
    shortest_length,
    transfer_length,
)

GROUP = get_group("copy+shift")  # shift up to 10; copy, or the control reverse, up to 20
SMALL = load_preset("small")


def test_members_of_each_condition() -> None:
    names = {c: [(member.task.name, member.max_length) for member in members_of(GROUP, c)] for c in CONDITIONS}
    assert names == {
        "auxiliary": [("shift", 10), ("copy", 20)],
        "alone": [("shift", 10)],
        "control": [("shift", 10), ("reverse", 20)],
    }


def test_a_group_without_controls_has_no_control() -> None:
    maze = get_group("maze")
    assert conditions_of(maze) == ("auxiliary", "alone")
    with pytest.raises(InvalidValueError, match="^group 'maze' has no control tasks; choose another condition$"):
        members_of(maze, "control")


def test_marked_lengths() -> None:
    assert transfer_length(GROUP) == 15
    assert marked_lengths(GROUP) == {10, 15, 20}
    assert shortest_length(get_group("add/carry")) == 1
    assert shortest_length(get_group("maze-scaled")) == 2


@pytest.mark.parametrize(
    ("setting", "lengths"),
    [
        ("measure.lengths=[]", (5, 10, 12, 15, 17, 20)),  # 5 = 10 // 2, 12 = (10 + 15) // 2, 17 = (15 + 20) // 2
        ("measure.lengths=[3, 15]", (3, 10, 15, 20)),
    ],
)
def test_configurations_differ_in_their_tasks_only(setting: str, lengths: tuple[int, ...]) -> None:
    configs = [condition_config(GROUP, SMALL.override([setting]), condition, seed=3) for condition in CONDITIONS]
    assert [[member.task for member in config.mixture] for config in configs] == [
        ["shift", "copy"],
        ["shift"],
        ["shift", "reverse"],
    ]
    rest = [config.model_dump(exclude={"mixture"}) for config in configs]
    assert rest[0] == rest[1] == rest[2]
    assert (configs[0].measure.lengths, configs[0].seed, configs[0].model.n_heads) == (lengths, 3, 8)
