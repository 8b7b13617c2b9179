"""Conditions: what a group's main task is trained with, and the training configuration that follows."""

import dataclasses
from typing import Literal, get_args

from tasks import Group, InvalidValueError, Member
from training.config import TrainConfig
from training.presets import Preset

Condition = Literal["auxiliary", "alone", "control", "shuffled", "short", "matched"]
"""How a model is trained: the main task with its auxiliaries, alone, or with the group's control tasks; and three more
that take one thing out of `auxiliary`, to see what carries the main task.

`shuffled`: with the auxiliaries, whose training examples have the answers of other prompts (`tasks.targets`): several
tasks, their prompts and lengths, and nothing to learn from them. `short`: with the auxiliaries at the main task's
lengths. `matched`: alone, on as many examples of the main task as with the auxiliaries (`condition_config`).
"""

CONDITIONS: tuple[Condition, ...] = ("auxiliary", "alone", "control")
"""The conditions of a study."""


def conditions_of(group: Group) -> tuple[Condition, ...]:
    """The conditions of a study that a group has: no `control` without control tasks."""
    return CONDITIONS if group.controls else CONDITIONS[:2]


def isolating_conditions(group: Group) -> tuple[Condition, ...]:
    """All conditions that a group has.

    There is no `control` without control tasks, no `shuffled`, `short` or `matched` without auxiliaries, and no `short`
    where the auxiliaries are no longer than the main task anyway.
    """
    return tuple(condition for condition in get_args(Condition) if not _lacking(group, condition))


def members_of(group: Group, condition: Condition) -> tuple[Member, ...]:
    """The tasks that the model of a condition is trained on, the main task first.

    Raises:
        InvalidValueError: The group does not have that condition, or an auxiliary cannot make the main task's lengths.
    """
    lacking = _lacking(group, condition)
    if lacking:
        raise InvalidValueError(f"group {group.name!r} has no {lacking}; choose another condition")
    longest = group.main.max_length
    match condition:
        case "alone" | "matched":
            others = ()
        case "auxiliary":
            others = group.auxiliaries
        case "control":
            others = group.controls
        case "shuffled":
            others = tuple(dataclasses.replace(member, targets="shuffled") for member in group.auxiliaries)
        case "short":
            others = tuple(
                dataclasses.replace(member, max_length=min(member.max_length, longest)) for member in group.auxiliaries
            )
    return (group.main, *others)


def _lacking(group: Group, condition: Condition) -> str:
    """What a group lacks for a condition, in words; empty if it has the condition."""
    if condition == "control" and not group.controls:
        return "control tasks"
    if condition in ("shuffled", "short", "matched") and not group.auxiliaries:
        return f"auxiliary tasks, so no condition {condition!r}"
    if condition == "short" and group.auxiliary_length <= group.main.max_length:
        return f"auxiliary task above length {group.main.max_length}, so 'short' would be 'auxiliary'"
    return ""


def transfer_length(group: Group) -> int:
    """The length that headlines use: halfway from the main task's longest to the auxiliaries' longest."""
    return (group.main.max_length + group.auxiliary_length) // 2


def marked_lengths(group: Group) -> set[int]:
    """The lengths that results speak of: the main task's longest, the transfer length, the auxiliaries' longest."""
    return {group.main.max_length, transfer_length(group), group.auxiliary_length}


def shortest_length(group: Group) -> int:
    """The smallest length that all tasks of a group can make."""
    return max(member.task.min_length for member in (group.main, *group.auxiliaries, *group.controls))


def condition_config(group: Group, preset: Preset, condition: Condition, *, seed: int) -> TrainConfig:
    """The training configuration of a condition; those of one group, preset and seed differ in their tasks only.

    But `matched`, which is what remains of `auxiliary`, with its k tasks, when the auxiliaries' examples are left out:
    the main task is trained on as many examples, in as many steps that have any, with as many in each. With `draw =
    "example"` every step of `auxiliary` has about 1/k of its batch from the main task: as many steps, batch size / k.
    With `draw = "batch"` about 1/k of the steps have nothing else: steps / k, the same batch size; checkpoints beyond
    the last step are left out. Both are rounded to the nearest number, at least 1.

    Accuracy is measured at the preset's lengths, or at some between the marked ones, and at the marked ones always.

    Raises:
        UnknownNameError: The preset has a key that does not exist.
        InvalidValueError: A value that is not allowed, a configuration that contradicts itself, or a condition that the
            group does not have.
    """
    config = preset.train_config(members_of(group, condition), vocabulary=group.vocabulary, seed=seed)
    lengths = tuple(sorted(marked_lengths(group).union(config.measure.lengths or _between(group))))
    config = config.model_copy(update={"measure": config.measure.model_copy(update={"lengths": lengths})})
    return _matched(config, tasks=1 + len(group.auxiliaries)) if condition == "matched" else config


def _matched(config: TrainConfig, *, tasks: int) -> TrainConfig:
    """The main task's part of a training that divides itself among so many tasks."""
    train, measure = config.train, config.measure
    if train.draw == "example":
        return config.model_copy(
            update={"train": train.model_copy(update={"batch_size": _part(train.batch_size, tasks)})}
        )
    steps = _part(train.steps, tasks)
    if isinstance(measure.checkpoints, tuple):
        kept = tuple(step for step in measure.checkpoints if step < steps) or (steps,)
        measure = measure.model_copy(update={"checkpoints": kept})
    return config.model_copy(update={"train": train.model_copy(update={"steps": steps}), "measure": measure})


def _part(count: int, parts: int) -> int:
    """A part of a number of examples or steps, to the nearest whole one (a half is rounded up), at least 1."""
    return max(1, (2 * count + parts) // (2 * parts))


def _between(group: Group) -> set[int]:
    """Where the preset names no lengths, more to measure while training: below and between the marked ones."""
    main, transfer, auxiliary = group.main.max_length, transfer_length(group), group.auxiliary_length
    return {max(shortest_length(group), main // 2), (main + transfer) // 2, (transfer + auxiliary) // 2}
