"""Options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

Flag = Parameter(negative=(), show_default=False)
Many = Parameter(consume_multiple=True, negative=(), show_default=False)
Tasks = Parameter(name=("--tasks", "--task"), consume_multiple=True, negative=(), show_default=False)
Settings = Parameter(name="--set", consume_multiple=True, negative=(), show_default=False)


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """Where a table goes."""

    json: Annotated[bool, Flag] = False
    """Print the table to stdout as JSON records."""

    out: Path | None = None
    """Write the table to a file: Parquet, CSV or LaTeX, by its ending (.parquet, .csv, .tex)."""


@Parameter(name="*")
@dataclass(frozen=True)
class Which:
    """Which weights of a run, and which examples."""

    step: int | None = None
    """The checkpoint's step; the last one if left out."""

    weights: str = "averaged"
    """averaged, the running average of the weights; raw, the weights themselves; averaged-DECAY, a further average."""

    n: int = 512
    """Test examples per task and length."""

    seed: int = 0
    """Seeds the test examples (and shuffles)."""


@Parameter(name="*")
@dataclass(frozen=True)
class On:
    """What a run is measured on."""

    task: Annotated[tuple[str, ...], Tasks] = ()
    """The tasks; all that the run was trained on if left out."""

    length: int | None = None
    """The length of all examples; halfway between the tasks' longest trained lengths if left out."""

    positions: Annotated[tuple[str, ...], Many] = ("all",)
    """Where: all, prompt, answer, or numbers of positions, from 0."""


@Parameter(name="*")
@dataclass(frozen=True)
class Form:
    """How a group of tasks is trained, where it is not the group's own way."""

    main_length: int | None = None
    """Longest training length of the main task, if not the group's."""

    auxiliary_length: int | None = None
    """Longest training length of the other tasks, if not the group's."""

    marking: Literal["start", "repeated", "none"] | None = None
    """How examples say which task they are: a start token of the task's own, a letter of its own four times before and
    after the prompt, or not at all; the group's way if left out."""
