"""The checkpoints of one pretraining, in the order of their steps."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks import InvalidValueError


@dataclass(frozen=True)
class PretrainingSeries:
    """Checkpoints of one pretraining: the step of each, and where it is.

    Attributes:
        points: Step and place, `FOLDER_OR_NAME@REVISION`, in ascending order of steps.

    Raises:
        InvalidValueError: Fewer than two checkpoints, or steps that do not ascend.
    """

    points: tuple[tuple[int, str], ...]

    def __post_init__(self) -> None:
        steps = self.steps
        if len(steps) < 2:
            raise InvalidValueError(f"a series needs two checkpoints or more. Got {len(steps)}; name others")
        if sorted(set(steps)) != list(steps):
            raise InvalidValueError(
                f"the steps of a series must ascend, each once. Got {' '.join(map(str, steps))}; order them"
            )

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return iter(self.points)

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps."""
        return tuple(step for step, _ in self.points)

    @property
    def revisions(self) -> tuple[str, ...]:
        """The revisions, as the axis `start.revision` of a grid names them."""
        return tuple(place.rpartition("@")[2] for _, place in self.points)

    @classmethod
    def of_folder(cls, folder: Path | str) -> "PretrainingSeries":
        """The checkpoints in a folder, each in a folder named `step-N`.

        Raises:
            InvalidValueError: The folder has fewer than two of them, or two of one step.
        """
        names = [path.name for path in Path(folder).glob("step-*") if path.is_dir()]
        if len(names) < 2:
            raise InvalidValueError(
                f"{str(folder)!r} has {len(names)} folders named 'step-N', and a series needs two or more; name the "
                "folder that holds the checkpoints"
            )
        return cls(tuple(sorted((pretraining_step(name), f"{folder}@{name}") for name in names)))

    @classmethod
    def named(cls, places: Mapping[int, str]) -> "PretrainingSeries":
        """The checkpoints of given steps, in any order."""
        return cls(tuple(sorted(places.items())))


def pretraining_step(revision: str) -> int:
    """The step in a revision's name: its last whole number, as in `step-160000` or `stage1-step1000`.

    Raises:
        InvalidValueError: The name has no number, or is that of a commit.
    """
    numbers = [] if re.fullmatch(r"[0-9a-f]{40}", revision) else re.findall(r"\d+", revision)
    if not numbers:
        raise InvalidValueError(
            f"revision {revision!r} does not say its pretraining step; name checkpoints as 'step-N', or give each "
            "one's step"
        )
    return int(numbers[-1])
