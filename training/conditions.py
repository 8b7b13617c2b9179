"""Conditions: what a group's main task is trained with, and the training configuration that follows."""

from typing import Literal, get_args

from tasks import Group, InvalidValueError, Member
from training.config import TrainConfig
from training.presets import Preset

Condition = Literal["auxiliary", "alone", "control"]
"""How a model is trained: the main task with its auxiliaries, alone, or with the group's control tasks."""

CONDITIONS: tuple[Condition, ...] = get_args(Condition)


def conditions_of(group: Group) -> tuple[Condition, ...]:
    """The conditions that a group has: no `control` without control tasks."""
    return CONDITIONS if group.controls else CONDITIONS[:2]


def members_of(group: Group, condition: Condition) -> tuple[Member, ...]:
    """The tasks that the model of a condition is trained on, the main task first.

    Raises:
        InvalidValueError: The group has no control tasks.
    """
    if condition not in conditions_of(group):
        raise InvalidValueError(f"group {group.name!r} has no {condition} tasks; choose another condition")
    others = {"auxiliary": group.auxiliaries, "alone": (), "control": group.controls}
    return (group.main, *others[condition])


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

    Accuracy is measured at the preset's lengths, or at some between the marked ones, and at the marked ones always.

    Raises:
        UnknownNameError: The preset has a key that does not exist.
        InvalidValueError: A value that is not allowed, a configuration that contradicts itself, or a condition that the
            group does not have.
    """
    config = preset.train_config(members_of(group, condition), vocabulary=group.vocabulary, seed=seed)
    lengths = tuple(sorted(marked_lengths(group).union(config.measure.lengths or _between(group))))
    return config.model_copy(update={"measure": config.measure.model_copy(update={"lengths": lengths})})


def _between(group: Group) -> set[int]:
    """Where the preset names no lengths, more to measure while training: below and between the marked ones."""
    main, transfer, auxiliary = group.main.max_length, transfer_length(group), group.auxiliary_length
    return {max(shortest_length(group), main // 2), (main + transfer) // 2, (transfer + auxiliary) // 2}
