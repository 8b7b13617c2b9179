"""What is trained to suggest an auxiliary: the main task with each candidate and alone, to the end or stopped early."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analyses.suggestion.early import early_config, is_beginning, keeping
from tasks import Group, InterpError, InvalidValueError
from training import Preset, Progress, Run, TrainConfig, Watcher, load_run, train
from training.conditions import condition_config
from training.finding import SWEEP
from training.runs import PARTIAL, STUDY
from training.sweep import Cell, Engine, Job
from training.sweep.cells import cell_name

ALONE = "(alone)"
"""Stands for the candidate where the main task is trained alone."""


@dataclass(frozen=True)
class Trial:
    """A model of the main task, with a candidate or alone: the cheap run, and the whole one.

    Attributes:
        candidate: The candidate's name, or `ALONE`.
        seed: The seed.
        early: What is trained as evidence.
        whole: What is trained to see what becomes of it; with a checkpoint at the early run's last step.
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
        early = early_config(cheap, steps=steps)
        return cls(candidate, seed, early, keeping(whole, step=steps) if is_beginning(early, whole) else whole)

    @property
    def is_beginning(self) -> bool:
        """Whether the early run is the beginning of the whole one."""
        return is_beginning(self.early, self.whole)

    @property
    def early_cell(self) -> Cell:
        """The early run, as sweeps name it."""
        return self._cell("early", self.early)

    @property
    def whole_cell(self) -> Cell:
        """The whole run."""
        return self._cell("whole", self.whole)

    def evidence_cell(self, folder: Path) -> Cell:
        """The run that the evidence is from: the whole one if the early one is its beginning, and it is there."""
        return self.whole_cell if self.is_beginning and (folder / self.whole_cell.name).is_dir() else self.early_cell

    def evidence(self, folder: Path) -> tuple[Run, int]:
        """That run, and the step of it that is the early run's last."""
        return load_run(folder / self.evidence_cell(folder).name), self.early.train.steps

    def _cell(self, run: str, config: TrainConfig) -> Cell:
        return Cell({"candidate": self.candidate, "seed": self.seed, "run": run}, cell_name(config), config)


def train_cells(cells: Sequence[Cell], folder: Path, *, engine: Engine, watcher: Watcher) -> dict[str, Exception]:
    """Trains each cell into `folder/NAME`; what is finished is taken as it is, what was interrupted goes on.

    Returns:
        For each cell that failed, by its title, what went wrong.

    Raises:
        InvalidValueError: The folder holds a run, a study or a sweep, or its name marks unfinished runs.
    """
    _refuse_other(folder)
    ends = _Ends(watcher)
    jobs = [Job(cell.name, cell.config, folder / cell.name) for cell in cells if cell.config is not None]
    waiting = [job for job in jobs if not _is_finished(job, ends)]
    if waiting:
        engine(waiting, ends)
    return {cell.title: error for cell in cells if (error := ends.errors.get(cell.name)) is not None}


def refuse_failed(errors: dict[str, Exception], *, of: int) -> None:
    """Raises InvalidValueError if a run failed."""
    if errors:
        title, error = next(iter(errors.items()))
        raise InvalidValueError(
            f"{len(errors)} of {of} runs failed, the first ({title}) with: {error}; a comparison needs all of them"
        )


class _Ends(Watcher):
    """Remembers how jobs ended, and passes on what it is told."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self.errors: dict[str, Exception | None] = {}

    def started(self, name: str) -> None:
        self._watcher.started(name)

    def progressed(self, name: str, progress: Progress) -> None:
        self._watcher.progressed(name, progress)

    def ended(self, name: str, error: Exception | None) -> None:
        self.errors[name] = error
        self._watcher.ended(name, error)


def _is_finished(job: Job, ends: Watcher) -> bool:
    """Whether a run is there already; one that cannot be read has failed."""
    if not job.path.exists():
        return False
    try:
        train(job.config, job.path)
    except InterpError as error:
        ends.ended(job.name, error)
    else:
        ends.ended(job.name, None)
    return True


def _refuse_other(folder: Path) -> None:
    for file, what in (("config.json", "a run"), (STUDY, "a study"), (SWEEP, "a sweep")):
        if (folder / file).exists():
            raise InvalidValueError(f"{str(folder)!r} holds {what}, no suggestion; choose another name")
    if folder.name.endswith(PARTIAL):
        raise InvalidValueError(
            f"{str(folder)!r} ends in {PARTIAL!r}, which marks unfinished runs; choose another name"
        )
