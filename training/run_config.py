"""What a run's `config.json` says, checked: its format, its configuration, and that its tasks are still the same."""

from pathlib import Path
from typing import Any

from tasks import BrokenRunError, InterpError, Member, Vocabulary
from tasks.own import is_file
from training.config import MemberConfig, TrainConfig
from training.files import AGAIN

FORMAT = 3
"""The layout of a run folder; a folder with a higher number was written by a newer version."""

ROOT = Path("runs")
"""Where runs are kept unless told otherwise."""


def mixture_of(config: TrainConfig) -> tuple[Member, ...]:
    """The tasks of a configuration, bound to its vocabulary."""
    vocabulary = Vocabulary(config.vocabulary)
    return tuple(member.member(vocabulary) for member in config.mixture)


def sections_of(values: dict[str, Any], *, written: int) -> dict[str, Any]:
    """The sections of a configuration in today's words.

    In format 1 the section `train` was called `optimizer`; up to format 2 it had a key `buckets`, into how many parts
    a batch was padded, which examples without padding no longer need. It never mattered but for rounding.
    """
    today = {"train" if written < 2 and name == "optimizer" else name: section for name, section in values.items()}
    if written < 3 and isinstance(today.get("train"), dict):
        today["train"] = {key: value for key, value in today["train"].items() if key != "buckets"}
    return today


def read_config(values: dict[str, Any], folder: Path) -> TrainConfig:
    """The configuration in a run's `config.json`.

    Raises:
        BrokenRunError: It is not that of a run, a newer version wrote it, or a task has changed since.
    """
    where = f"run {run_name(folder)!r}"
    if not isinstance(values.get("format"), int) or not all(
        isinstance(values.get(k), dict) for k in ("config", "tasks")
    ):
        raise BrokenRunError(f"{where}: config.json is not that of a run; {AGAIN}")
    if values["format"] > FORMAT:
        raise BrokenRunError(
            f"{where} was written by a newer version (format {values['format']}, this one reads up to {FORMAT}); "
            "upgrade, or train it again"
        )
    try:
        config = TrainConfig.read(sections_of(values["config"], written=values["format"]))
    except InterpError as error:
        raise BrokenRunError(f"{where}: config.json is not that of a run ({error}); {AGAIN}") from None
    config = _with_own_tasks(config, folder)
    try:
        mixture = mixture_of(config)
    except InterpError as error:
        own = any(is_file(member.task) for member in config.mixture)
        mend = "start from the folder that holds the task's file, or mend the file" if own else AGAIN
        raise BrokenRunError(f"{where}: its tasks cannot be made ({error}); {mend}") from None
    for member in mixture:
        written = values["tasks"].get(member.task.name)
        if written != member.task.version:
            raise BrokenRunError(
                f"{where} was trained on version {written} of task {member.task.name!r}, which is now version "
                f"{member.task.version} and generates other examples; train it again"
            )
    return config


def _with_own_tasks(config: TrainConfig, folder: Path) -> TrainConfig:
    """The configuration with files of the user's own tasks looked for above the run, if they are not where we are."""

    def found(member: MemberConfig) -> MemberConfig:
        file, _, name = member.task.rpartition(":")
        if not is_file(member.task) or Path(file).is_file():
            return member
        places = (parent / file for parent in folder.resolve().parents)
        there = next((place for place in places if place.is_file()), Path(file))
        return member.model_copy(update={"task": f"{there}:{name}"})

    return config.model_copy(update={"mixture": tuple(found(member) for member in config.mixture)})


def run_name(path: Path, root: Path = ROOT) -> str:
    """A folder's path below `root`, or the path as it is."""
    inside = path.resolve().is_relative_to(root.resolve())
    return path.resolve().relative_to(root.resolve()).as_posix() if inside else path.as_posix()
