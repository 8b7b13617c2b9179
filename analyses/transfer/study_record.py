"""What a study's folder says of itself, `study.json`: enough to make the study again."""

from pathlib import Path
from typing import Any, Literal

from tasks import BrokenRunError, InterpError
from tasks.frame import Marking
from training.config import Config
from training.files import read_json
from training.run_config import FORMAT, sections_of
from training.runs import STUDY

_COMPARISON = ("k", "permutations", "bootstraps", "resample", "persistence")
"""What says how maps are compared: they are measured anew, and nothing that was trained is another."""


class StudyRecord(Config):
    """The contents of `study.json`.

    Attributes:
        format: The layout; a higher one than `training.runs.FORMAT` was written by a newer version.
        group: The group's name.
        main_length: The main task's longest training length.
        auxiliary_length: The auxiliaries' and controls'.
        marking: How examples say which task they are.
        preset: The preset's name.
        sections: The preset's values, overrides included.
        seed: The seed.
        n: Test examples per length.
        shared: How many shared heads' attention patterns are shown.
        k: `HeadOverlap`'s top-k.
        permutations: Its shuffles per null.
        bootstraps: Its bootstrap samples.
        resample: How it draws examples.
        persistence: Its rank-biased overlap's.
        command: The command that made the study.
    """

    format: int
    group: str
    main_length: int
    auxiliary_length: int
    marking: Marking = "start"
    preset: str
    sections: dict[Literal["model", "train", "measure", "start"], dict[str, Any]]
    seed: int
    n: int
    shared: int = 3
    k: int = 3
    permutations: int = 10_000
    bootstraps: int = 500
    resample: Literal["together", "separately"] = "together"
    persistence: float = 0.9
    command: str = ""

    def differs(self, other: "StudyRecord") -> str:
        """How another record differs, in words; empty if it makes the same study, however its maps are compared."""
        here, there = (record.model_dump(exclude={"command", *_COMPARISON}) for record in (self, other))
        for name, value in here.items():
            if isinstance(value, dict):
                value = {f"{part}.{key}": v for part, keys in value.items() for key, v in keys.items()}
                theirs = {f"{part}.{key}": v for part, keys in there[name].items() for key, v in keys.items()}
                changed = sorted(key for key in {**value, **theirs} if value.get(key) != theirs.get(key))
                if changed:
                    return f"{changed[0]} is {theirs.get(changed[0])} there, {value.get(changed[0])} here"
            elif value != there[name]:
                return f"{name} is {there[name]} there, {value} here"
        return ""

    def compares(self, other: "StudyRecord") -> bool:
        """Whether another record compares the maps in another way."""
        return self.model_dump(include=set(_COMPARISON)) != other.model_dump(include=set(_COMPARISON))


def read_record(folder: Path) -> StudyRecord:
    """Reads a study's record.

    Raises:
        BrokenRunError: The folder holds no study, a damaged one, or one written by a newer version.
    """
    values = read_json(folder / STUDY)
    written = values.get("format")
    if isinstance(written, int) and written > FORMAT:
        raise BrokenRunError(
            f"{str(folder)!r} was written by a newer version (format {written}, this one reads up to {FORMAT}); "
            "upgrade, or run the study again"
        )
    sections = values.get("sections")
    if isinstance(written, int) and isinstance(sections, dict):
        values |= {"sections": sections_of(sections, written=written), "format": FORMAT}
    try:
        return StudyRecord.read(values)
    except InterpError as error:
        raise BrokenRunError(
            f"{str(folder / STUDY)!r} is not that of a study ({error}); remove the folder, or run the study again"
        ) from None
