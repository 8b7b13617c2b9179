"""What is trained to suggest an auxiliary: the main task with each candidate and alone, to the end or stopped early."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analyses.suggestion.early import early_config, is_kept
from tasks import Group, InvalidValueError
from training import Preset, Run, TrainConfig, Watcher, load_run
from training.conditions import condition_config
from training.sweep import Cell, Engine
from training.sweep.cells import cell_name
from training.sweep.sweep import check_folder, train_cells

ALONE = "(alone)"
"""Stands for the candidate where the main task is trained alone."""


@dataclass(frozen=True)
class Trial:
    """A model of the main task, with a candidate or alone: the cheap run, and the whole one.

    Attributes:
        candidate: The candidate's name, or `ALONE`.
        seed: The seed.
        early: What is trained as evidence.
        whole: What is trained to see what becomes of it, the same run whatever share of it is evidence.
    """

    candidate: str
    seed: int
    early: TrainConfig
    whole: TrainConfig

    @classmethod
    def of(cls, group: Group, seed: int, *, presets: tuple[Preset, Preset], share: float) -> "Trial":
        """The trial of a group and a seed; a group without auxiliaries is the main task alone.

        Args:
            group: The pair, or the main task by itself.
            seed: The seed.
            presets: That of the cheap run, and that of the whole one.
            share: The share of the cheap preset's steps after which its run is stopped.

        Raises:
            UnknownNameError: A preset has a key that does not exist.
            InvalidValueError: A configuration that contradicts itself, or a seed below 0.
        """
        candidate = group.auxiliaries[0].task.name if group.auxiliaries else ALONE
        condition = "auxiliary" if group.auxiliaries else "alone"
        cheap, whole = (condition_config(group, preset, condition, seed=seed) for preset in presets)
        steps = max(1, round(share * cheap.train.steps))
        return cls(candidate, seed, early_config(cheap, steps=steps), whole)

    @property
    def is_kept(self) -> bool:
        """Whether the end of the early run is a checkpoint of the whole one."""
        return is_kept(self.early, self.whole)

    @property
    def early_cell(self) -> Cell:
        """The early run, as sweeps name it."""
        return self._cell("early", self.early)

    @property
    def whole_cell(self) -> Cell:
        """The whole run."""
        return self._cell("whole", self.whole)

    def evidence_cell(self, folder: Path) -> Cell:
        """The run that the evidence is from: the whole one if it keeps the early one's end, and is there."""
        return self.whole_cell if self.is_kept and (folder / self.whole_cell.name).is_dir() else self.early_cell

    def evidence(self, folder: Path) -> tuple[Run, int]:
        """That run, and the step of it that is the early run's last."""
        return load_run(folder / self.evidence_cell(folder).name), self.early.train.steps

    def _cell(self, run: str, config: TrainConfig) -> Cell:
        return Cell({"candidate": self.candidate, "seed": self.seed, "run": run}, cell_name(config), config)


def train_trials(cells: Sequence[Cell], folder: Path, *, engine: Engine, watcher: Watcher) -> dict[str, Exception]:
    """Trains the runs of trials into `folder/NAME`, as a sweep trains its cells.

    Returns:
        For each run that failed, by its title, what went wrong.

    Raises:
        InvalidValueError: The folder holds a run, a study or a sweep, or its name marks unfinished runs.
    """
    check_folder(folder, kind="suggestion")
    errors = train_cells(cells, folder, engine=engine, watcher=watcher)
    return {cell.title: error for cell in cells if (error := errors.get(cell.name)) is not None}


def refuse_failed(errors: dict[str, Exception], *, of: int) -> None:
    """Raises InvalidValueError if a run failed."""
    if errors:
        title, error = next(iter(errors.items()))
        raise InvalidValueError(
            f"{len(errors)} of {of} runs failed, the first ({title}) with: {error}; a comparison needs all of them"
        )
