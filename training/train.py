"""From a configuration to a run folder, going on where an interrupted run stopped."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from tasks import InvalidValueError
from training.config import TrainConfig
from training.finding import load_run
from training.fits import refuse_too_long
from training.folder import STATE, alone, close_folder, open_folder, refuse_other
from training.keeping import Keeper, Progress
from training.run_config import mixture_of
from training.runs import PARTIAL, Run
from training.start import pinned
from training.tracking import Tracker


def train(
    config: TrainConfig,
    path: Path | str,
    *,
    device: str = "cpu",
    on_step: Callable[[Progress], object] = lambda _: None,
    trackers: Sequence[Tracker] = (),
) -> Run:
    """Trains a model, or goes on with an interrupted run, or finds it finished.

    While it trains, everything lives in `PATH.partial`, which is renamed at the end: a run that can be loaded is whole.
    The loss is the mean over the batch's scored tokens of the negative log likelihood (nats). Training examples of a
    step depend on the seed and the step only, so a run that was interrupted and continued equals one that was not.

    Args:
        config: What to train.
        path: The run's folder.
        device: Where the model is: `cpu`, `cuda`, ... Numbers of different devices differ in their last bits.
        on_step: Called after every step.
        trackers: Told what is measured; closed at the end, also after an error.

    Raises:
        InvalidValueError: The folder holds a run with another configuration or of another version, cannot be written or
            has no room; an example is longer than a learned position table; there is no such device; the loss is no
            longer a number; or the checkpoint to start from is gone, or has changed since the run was made.
        BrokenRunError: What is left of the interrupted run is damaged, or another process is training it.
    """
    try:
        return _train(config, Path(path), device, on_step, trackers)
    finally:
        for tracker in trackers:
            tracker.close()


def _train(
    config: TrainConfig,
    path: Path,
    device: str,
    on_step: Callable[[Progress], object],
    trackers: Sequence[Tracker],
) -> Run:
    for member in mixture_of(config):
        for length in config.measure.lengths:
            member.task.check_length(length)
        refuse_too_long(config.model, member.task, (member.max_length, *config.measure.lengths))
    _check_device(device)
    if config.start is not None:
        config = config.model_copy(update={"start": pinned(config.start)})
    if not _is_there(path):
        partial = path.with_name(path.name + PARTIAL)
        with alone(partial):
            if not path.is_dir():  # another process may have finished it just now
                _train_into(partial, path, config, device, on_step, trackers)
    (path / STATE).unlink(missing_ok=True)  # left if the process was killed just after the folder got its final name
    run = load_run(path)
    refuse_other(run.config, config, path)
    return run


def _is_there(path: Path) -> bool:
    """Whether the run's folder exists; raises InvalidValueError where no run can be."""
    if path.name.endswith(PARTIAL):
        raise InvalidValueError(f"{str(path)!r} ends in {PARTIAL!r}, which marks unfinished runs; choose another name")
    try:
        if path.exists() and not path.is_dir():
            raise InvalidValueError(f"{str(path)!r} is a file, where the run's folder should be; choose another name")
        return path.is_dir()
    except OSError as error:
        raise InvalidValueError(
            f"cannot write {str(path)!r}: {error.strerror or error}; choose another place"
        ) from None


def _check_device(device: str) -> None:
    """Raises InvalidValueError if the device is not there."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidValueError(f"device {device!r} cannot be used ({reason}); 'cpu' is always there") from None


def _train_into(
    partial: Path,
    path: Path,
    config: TrainConfig,
    device: str,
    on_step: Callable[[Progress], object],
    trackers: Sequence[Tracker],
) -> None:
    try:
        open_folder(partial, config)
        keeper = Keeper(config, partial, device=device, trackers=trackers)
        keeper.go(on_step)
        close_folder(partial, path, seconds=keeper.seconds)
    finally:
        if partial.is_dir() and not (partial / STATE).exists():
            shutil.rmtree(partial)  # it holds nothing that a second call could go on from
