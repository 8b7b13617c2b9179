"""Presets: model shape, optimisation and measurement as readable TOML, to be joined with a mixture of tasks."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from typing import Any

from tasks import InvalidValueError, Member, Vocabulary, same_prompts
from tasks.errors import unknown_name
from training.config import MeasureConfig, MemberConfig, ModelConfig, OptimizerConfig, StartConfig, TrainConfig
from training.fits import refuse_too_long
from training.start import pinned, refuse_other_shape, start_at, start_shape

_SECTIONS = ("model", "train", "measure", "start")

ONE_PER_TASK = "one per task"
"""In a preset, the `task_heads` that give each task of the mixture, however many, an unembedding of its own."""


@dataclass(frozen=True)
class Preset:
    """The part of a training configuration that does not depend on the tasks.

    Attributes:
        name: The preset's name, or the file it came from.
        sections: `model`, `train` and `measure`, each as plain values; and `start`, if it finetunes a checkpoint, which
            has the place of `model`.
    """

    name: str
    sections: dict[str, dict[str, Any]]

    def override(self, settings: Sequence[str]) -> "Preset":
        """The preset with some keys replaced.

        Args:
            settings: Each `section.key=value`, for example `train.steps=500`; the value is read as JSON, or else
                as text.

        Raises:
            InvalidValueError: A setting that does not have that form.
            UnknownNameError: No such section (keys are checked when the configuration is made).
        """
        sections = {name: dict(values) for name, values in self.sections.items()}
        for setting in settings:
            place, equals, text = setting.partition("=")
            section, dot, key = place.strip().partition(".")
            if not equals or not dot:
                raise InvalidValueError(
                    f"setting {setting!r} is not of the form 'section.key=value', as in 'train.steps=500'"
                )
            if section not in _SECTIONS:
                raise unknown_name("config section", section, _SECTIONS, listing=f"allowed are {', '.join(_SECTIONS)}")
            sections.setdefault(section, {})[key] = _value(text)
        return Preset(self.name, sections)

    def starting(self, place: str) -> "Preset":
        """The preset for finetuning a checkpoint, given as `FOLDER_OR_NAME[@REVISION]`."""
        return Preset(self.name, {**self.sections, "start": {**self.sections.get("start", {}), **start_at(place)}})

    def train_config(self, mixture: Sequence[Member], *, vocabulary: Vocabulary, seed: int) -> TrainConfig:
        """The whole configuration for a mixture of tasks; `task_heads = "one per task"` becomes their number.

        Raises:
            UnknownNameError: A key that does not exist.
            InvalidValueError: A value that is not allowed, a length that a task cannot make, a configuration that
                contradicts itself, or a checkpoint to start from that cannot be loaded or lacks a token of the tasks.
            BrokenRunError: The checkpoint is damaged, or out of reach.
        """
        start = self._start()
        model = self._shape(start, vocabulary, tasks=len(mixture))
        if model.task_heads == 1:
            _refuse_confusion(mixture)
        measure = MeasureConfig.read(self.sections["measure"])
        for member in mixture:
            for length in measure.lengths:
                member.task.check_length(length)
            refuse_too_long(model, member.task, (member.max_length, *measure.lengths))
        return TrainConfig.read(
            {
                "mixture": [MemberConfig.of(member) for member in mixture],
                "vocabulary": vocabulary.tokens,
                "model": model,
                "train": OptimizerConfig.read(self.sections["train"]),
                "measure": measure,
                "seed": seed,
                "start": start,
            }
        )

    def _start(self) -> StartConfig | None:
        """The checkpoint to start from, if any, as it is now."""
        section = self.sections.get("start")
        if section and "checkpoint" in section:
            return pinned(StartConfig.read(section))
        if section:
            raise InvalidValueError(
                f"preset {self.name!r} has a section start that names no checkpoint; give one "
                "with 'interp train --from FOLDER' or the key start.checkpoint"
            )
        if not self.sections["model"]:
            raise InvalidValueError(
                f"preset {self.name!r} has no section model, so it finetunes a checkpoint, and none is given; give one "
                "with 'interp train --from FOLDER' or the key start.checkpoint"
            )
        return None

    def _shape(self, start: StartConfig | None, vocabulary: Vocabulary, *, tasks: int) -> ModelConfig:
        asked = dict(self.sections["model"])
        if asked.get("task_heads") == ONE_PER_TASK:
            asked["task_heads"] = tasks
        if start is None:
            return ModelConfig.read({"d_vocab": len(vocabulary), **asked})
        shape = start_shape(start, vocabulary)
        refuse_other_shape(asked, shape, start=start)
        return shape


def _refuse_confusion(mixture: Sequence[Member]) -> None:
    """Raises InvalidValueError if two tasks read the same prompts and nothing says which is meant."""
    for pair in combinations(mixture, 2):
        first, second = (member.task for member in pair)
        length = min(member.max_length for member in pair)
        if first.marking == second.marking == "none" and same_prompts(first, second, length=length):
            raise InvalidValueError(
                f"{first.name!r} and {second.name!r} read the same prompts, and marking 'none' does not tell them "
                f"apart; choose another marking, or model.task_heads = {ONE_PER_TASK!r}"
            )


def list_presets() -> list[str]:
    """The names of all presets."""
    return sorted(path.name.removesuffix(".toml") for path in files(__name__).iterdir() if path.name.endswith(".toml"))


def load_preset(name: str) -> Preset:
    """A preset by name, or from a TOML file of the user's own.

    Raises:
        UnknownNameError: No preset has that name, or the file has a section that no preset has.
        InvalidValueError: The file cannot be read, is not TOML, or has a value where a section should be.
    """
    own = name.endswith(".toml") and Path(name).is_file()
    if not own and name not in list_presets():
        raise unknown_name(
            "preset",
            name,
            list_presets(),
            listing=f"the presets are {', '.join(list_presets())}; a path to a .toml file will do too",
        )
    source = Path(name) if own else files(__name__).joinpath(f"{name}.toml")
    try:
        values = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidValueError(f"{name!r} is not TOML: {error}; write it like the preset 'small'") from None
    for section, keys in values.items():
        if section not in _SECTIONS:
            raise unknown_name("config section", section, _SECTIONS, listing=f"allowed are {', '.join(_SECTIONS)}")
        if not isinstance(keys, dict):
            raise InvalidValueError(f"{name!r}: {section} = {keys!r} is no section; write [{section}] above its keys")
    always = {section: values.get(section, {}) for section in _SECTIONS[:3]}
    return Preset(name, {**always, **({"start": values["start"]} if "start" in values else {})})


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text.strip()
