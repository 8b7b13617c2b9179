"""The runs of a sweep that finetunes every checkpoint of a series alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analyses.pretraining.series import pretraining_step
from tasks import InvalidValueError
from training import Run, load_run
from training.files import read_json, read_table
from training.finding import SWEEP


@dataclass(frozen=True)
class Finetuned:
    """A finetuned run and where it belongs.

    Attributes:
        run: The run.
        group: The group of tasks.
        condition: What the main task was finetuned with.
        step: The pretraining step of the checkpoint that it started from.
    """

    run: Run
    group: str
    condition: str
    step: int

    @property
    def about(self) -> dict[str, Any]:
        """The columns that say so in tables."""
        return {
            "group": self.group,
            "condition": self.condition,
            "pretraining_step": self.step,
            "seed": self.run.config.seed,
            "run": self.run.name,
        }


def finetuned_runs(folder: Path, *, steps: Mapping[str, int] | None = None) -> list[Finetuned]:
    """The finished runs of a sweep over `start.revision`, in the order of its cells.

    Args:
        folder: The sweep's folder.
        steps: The pretraining step of each revision; read off the revisions' names if left out.

    Raises:
        BrokenRunError: The sweep's files are missing or damaged.
        InvalidValueError: A run was not finetuned from a checkpoint, the runs start from fewer than two, or a revision
            does not say its step.
    """
    fixed = read_json(folder / SWEEP)["grid"]["fixed"]
    cells = read_table(folder / "cells.parquet")
    found = []
    for cell in cells[cells["status"] == "finished"].to_dict("records"):
        run = load_run(folder / Path(str(cell["run"])).name)
        if run.config.start is None:
            raise InvalidValueError(
                f"run {run.name!r} was not finetuned from a checkpoint; name a sweep over start.revision"
            )
        revision = run.config.start.revision
        if steps is not None and revision not in steps:
            raise InvalidValueError(f"no pretraining step is given for revision {revision!r}; give one for each")
        step = pretraining_step(revision) if steps is None else steps[revision]
        values = {"condition": "auxiliary", **fixed, **cell}
        found.append(Finetuned(run, str(values["group"]), str(values["condition"]), step))
    if len({one.step for one in found}) < 2:
        raise InvalidValueError(
            f"sweep {folder.name!r} has finished runs from {len({one.step for one in found})} checkpoint, and a series "
            "needs two or more; vary start.revision"
        )
    return found
