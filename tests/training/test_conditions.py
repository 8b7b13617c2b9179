"""What a condition trains on, for how long, and where accuracy is measured."""

import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch

from tasks import Group, InvalidValueError, get_group
from training import Preset, load_preset, train
from training.conditions import (
    CONDITIONS,
    Condition,
    condition_config,
    conditions_of,
    isolating_conditions,
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


# ----------------------------------------------------------------------------------- conditions that take something out
TWO = get_group("capitalize_reverse")  # capitalize_reverse up to 16; capitalize and reverse, or the control copy, to 32
ISOLATING = get_args(Condition)


def members(group: Group, condition: Condition) -> list[tuple[str, int, str]]:
    return [(member.task.name, member.max_length, member.targets) for member in members_of(group, condition)]


def test_members_of_the_conditions_that_isolate() -> None:
    main = ("capitalize_reverse", 16, "true")
    assert {condition: members(TWO, condition) for condition in ISOLATING} == {
        "auxiliary": [main, ("capitalize", 32, "true"), ("reverse", 32, "true")],
        "alone": [main],
        "control": [main, ("copy", 32, "true")],
        "shuffled": [main, ("capitalize", 32, "shuffled"), ("reverse", 32, "shuffled")],
        "short": [main, ("capitalize", 16, "true"), ("reverse", 16, "true")],
        "matched": [main],
    }


@pytest.mark.parametrize(
    ("group", "conditions"),
    [
        (GROUP, ISOLATING),
        (get_group("maze"), ("auxiliary", "alone", "shuffled", "short", "matched")),
        (get_group("sort/count"), ("auxiliary", "alone", "shuffled", "matched")),  # both up to 20
        (replace(GROUP, auxiliaries=(), controls=()), ("auxiliary", "alone")),
    ],
    ids=["all", "no control", "no longer", "no auxiliary"],
)
def test_a_group_has_the_conditions_that_differ(group: Group, conditions: tuple[Condition, ...]) -> None:
    assert isolating_conditions(group) == conditions


@pytest.mark.parametrize(
    ("group", "condition", "text"),
    [
        (get_group("sort/count"), "short",
         "group 'sort/count' has no auxiliary task above length 20, so 'short' would be 'auxiliary'"),
        (replace(GROUP, auxiliaries=()), "matched",
         "group 'copy+shift' has no auxiliary tasks, so no condition 'matched'"),
        (get_group("maze").with_lengths(main=2, auxiliary=2), "short",
         "group 'maze' has no auxiliary task above length 2, so 'short' would be 'auxiliary'"),
    ],
)  # fmt: skip
def test_a_condition_that_a_group_lacks_is_refused(group: Group, condition: Condition, text: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}; choose another condition$"):
        members_of(group, condition)


def config_of(group: Group, condition: Condition, *settings: str) -> dict[str, object]:
    """Steps, batch size and checkpoints of a condition."""
    config = condition_config(group, SMALL.override(settings), condition, seed=3)
    return {
        "steps": config.train.steps,
        "batch_size": config.train.batch_size,
        "checkpoints": config.measure.checkpoints,
    }


@pytest.mark.parametrize(
    ("group", "settings", "expected"),
    [
        # Each step holds about a half, or a third, of the main task: as many steps of a half, or a third.
        (GROUP, ["train.draw=example"], {"steps": 1800, "batch_size": 32, "checkpoints": 20}),
        (TWO, ["train.draw=example"], {"steps": 1800, "batch_size": 21, "checkpoints": 20}),  # 64 / 3 = 21.3
        (TWO, ["train.draw=example", "train.batch_size=1"], {"steps": 1800, "batch_size": 1, "checkpoints": 20}),
        # 5 / 2 = 2.5, and a half is rounded up.
        (GROUP, ["train.draw=example", "train.batch_size=5"], {"steps": 1800, "batch_size": 3, "checkpoints": 20}),
        # About a half, or a third, of the steps are the main task's: so many, with the whole batch.
        (GROUP, [], {"steps": 900, "batch_size": 64, "checkpoints": 20}),
        (TWO, ["train.steps=1000"], {"steps": 333, "batch_size": 64, "checkpoints": 20}),
        (GROUP, ["measure.checkpoints=[300, 900, 1800]"], {"steps": 900, "batch_size": 64, "checkpoints": (300,)}),
        (GROUP, ["measure.checkpoints=[1000]"], {"steps": 900, "batch_size": 64, "checkpoints": (900,)}),
    ],
)  # fmt: skip
def test_matched_is_the_main_task_s_part_of_auxiliary(
    group: Group, settings: list[str], expected: dict[str, object]
) -> None:
    assert config_of(group, "matched", *settings) == expected
    assert config_of(group, "alone", *settings) == config_of(group, "auxiliary", *settings)


@pytest.mark.parametrize("draw", ["example", "batch"])
def test_the_others_differ_in_their_tasks_only_and_matched_in_the_amount_too(draw: str) -> None:
    preset: Preset = SMALL.override([f"train.draw={draw}"])
    configs = {one: condition_config(GROUP, preset, one, seed=3).model_dump(exclude={"mixture"}) for one in ISOLATING}
    for condition in set(ISOLATING) - {"matched"}:
        assert configs[condition] == configs["auxiliary"]
    changed = {"example": "batch_size", "batch": "steps"}[draw]
    whole = configs["auxiliary"]
    assert configs["matched"] == {**whole, "train": {**whole["train"], changed: whole["train"][changed] // 2}}
    assert configs["short"]["measure"]["lengths"] == (5, 10, 12, 15, 17, 20), (
        "the group's lengths, not the shorter ones"
    )


def test_with_whole_batches_and_a_constant_rate_matched_is_what_alone_was(tmp_path: Path) -> None:
    settings = ["model.n_layers=1", "model.d_model=16", "train.steps=8", "train.warmup=2", "train.batch_size=8"]
    preset = SMALL.override([*settings, "measure.checkpoints=[4, 8]", "measure.n=4"])
    alone, matched = (
        train(condition_config(GROUP, preset, condition, seed=3), tmp_path / condition)
        for condition in ("alone", "matched")
    )
    assert (alone.steps, matched.steps) == ([4, 8], [4])
    then = dict(alone.model(4).named_parameters())
    for name, weight in matched.model().named_parameters():
        assert torch.equal(weight, then[name])
