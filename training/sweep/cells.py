"""One cell of a grid: what is varied in it, and the training configuration that follows."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks import Group, get_group
from tasks.frame import Marking
from training.conditions import Condition, condition_config, transfer_length
from training.config import MeasureConfig, ModelConfig, OptimizerConfig, StartConfig, TrainConfig
from training.config.base import Config, Natural, Positive
from training.fits import refuse_too_long
from training.presets import Preset, load_preset
from training.run_config import mixture_of

SECTIONS: dict[str, type[Config]] = {
    "model": ModelConfig,
    "train": OptimizerConfig,
    "measure": MeasureConfig,
    "start": StartConfig,
}
"""The sections of a preset; a grid may vary any of their keys."""

_LONGEST = 80
"""Most characters of the readable part of a cell's name."""


class Choice(Config):
    """What a cell says of itself, apart from keys of the preset.

    Attributes:
        group: The group of tasks.
        preset: A preset's name, or a TOML file.
        condition: What the main task is trained with.
        main_length: Longest training length of the main task; None is the group's.
        auxiliary_length: Longest training length of the other tasks; None is the group's.
        marking: How examples say which task they are; None is the group's way.
        seed: Seeds every stream of random numbers.
        data_seed: Seeds the training data, where it is not `seed`.
    """

    group: str
    preset: str = "small"
    condition: Condition = "auxiliary"
    main_length: Positive | None = None
    auxiliary_length: Positive | None = None
    marking: Marking | None = None
    seed: Natural = 0
    data_seed: Natural | None = None

    def tasks(self) -> Group:
        """The group, at these lengths and with this marking.

        Raises:
            UnknownNameError: No such group.
            InvalidValueError: A length that a task cannot make.
        """
        group = get_group(self.group)
        main = group.main.max_length if self.main_length is None else self.main_length
        auxiliary = group.auxiliary_length if self.auxiliary_length is None else self.auxiliary_length
        return group.with_lengths(main=main, auxiliary=auxiliary).with_marking(self.marking or group.marking)


KEYS = (*Choice.model_fields, *(f"{name}.{key}" for name, config in SECTIONS.items() for key in config.model_fields))
"""Every key that a grid may fix or vary."""


@dataclass(frozen=True)
class Cell:
    """One cell of a grid.

    Attributes:
        values: The value of each axis.
        name: The name of the run's folder, which follows from the configuration alone.
        config: What is trained; None if the cell is impossible.
        lengths: The main task's longest length, the transfer length, the auxiliaries' longest.
        error: Why the cell is impossible; empty if it is not.
    """

    values: dict[str, Any]
    name: str = ""
    config: TrainConfig | None = None
    lengths: tuple[int, ...] = ()
    error: str = ""

    @property
    def title(self) -> str:
        """The cell's values in words."""
        return ", ".join(f"{key} = {shown(value)}" for key, value in self.values.items())

    @classmethod
    def of(cls, values: Mapping[str, Any], fixed: Mapping[str, Any]) -> "Cell":
        """The cell with these values of the axes, beside what all cells have in common.

        Raises:
            UnknownNameError: No such group or preset.
            InvalidValueError: A value that is not allowed, or a configuration that contradicts itself.
        """
        settings = {**fixed, **values}
        choice = Choice.read({key: value for key, value in settings.items() if "." not in key})
        group, preset = choice.tasks(), load_preset(choice.preset)
        sections = {
            name: {
                **preset.sections.get(name, {}),
                **{key.partition(".")[2]: settings[key] for key in settings if key.startswith(f"{name}.")},
            }
            for name in SECTIONS
        }
        config = condition_config(group, Preset(preset.name, sections), choice.condition, seed=choice.seed)
        config = config.model_copy(update={"data_seed": choice.data_seed})
        _check_lengths(config)
        lengths = (group.main.max_length, transfer_length(group), group.auxiliary_length)
        return cls(dict(values), cell_name(config), config, lengths)


def _check_lengths(config: TrainConfig) -> None:
    """Refuses lengths as `train` will, so that a grid is refused before anything is trained."""
    for member in mixture_of(config):
        for length in config.measure.lengths:
            member.task.check_length(length)
        refuse_too_long(config.model, member.task, (member.max_length, *config.measure.lengths))


def cell_name(config: TrainConfig) -> str:
    """The folder's name of a configuration: tasks and lengths, shape and positions, seed, and a digest of all of it.

    In the place of shape and positions finetuned models have the name and revision of the checkpoint.

    Keys that have their default values do not enter the digest, so that a key that a later version adds does not change
    it.
    """
    text = json.dumps(config.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    tasks = "+".join(re.sub(r"\W+", "-", member.task) + str(member.max_length) for member in config.mixture)
    readable = f"{tasks}-{_origin(config)}-seed{config.seed}"
    return f"{readable[:_LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _origin(config: TrainConfig) -> str:
    """What the model was before training, in a few words that may stand in a folder's name."""
    model, start = config.model, config.start
    if start is None:
        return f"{model.n_layers}x{model.n_heads}x{model.d_model}-{model.positions}"
    words = (start.checkpoint.rstrip("/").rpartition("/")[2], start.revision, start.adaptation)
    return "-".join(re.sub(r"[^\w.]+", "-", word) for word in words)


def shown(value: object) -> str:
    """A value of an axis as a person reads it: texts as they are, others as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
