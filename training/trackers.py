"""Trackers: TensorBoard and Weights & Biases. Each needs its package, which is loaded only when it is used."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from tasks import InvalidValueError


class TensorBoard:
    """Writes event files: `tensorboard --logdir FOLDER` shows them, also while training goes on.

    Args:
        folder: Where they go; a run that goes on adds to what is there.

    Raises:
        InvalidValueError: The package tensorboard is not installed.
    """

    def __init__(self, folder: Path | str) -> None:
        _needed("tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(log_dir=str(folder))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, global_step=step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """Sends a run to Weights & Biases, or keeps it for `wandb sync` where `WANDB_MODE=offline` is set.

    Args:
        name: The run's name; a run of that name in the project that was interrupted goes on.
        project: The project.
        folder: Where its files go, in a folder `wandb`.
        config: Shown with the run.

    Raises:
        InvalidValueError: The package wandb is not installed, or refuses.
    """

    def __init__(
        self, name: str, *, project: str = "interp", folder: Path | str = ".", config: Mapping[str, Any] | None = None
    ) -> None:
        wandb: Any = _needed("wandb")
        Path(folder).mkdir(parents=True, exist_ok=True)
        try:
            self._run = wandb.init(
                project=project,
                name=name,
                id=name.replace("/", "-"),
                resume="allow",
                dir=str(folder),
                config=dict(config or {}),
                settings=wandb.Settings(silent=True),
            )
        except wandb.errors.Error as error:
            raise InvalidValueError(
                f"Weights & Biases refuses: {error}; log in with 'wandb login', or set WANDB_MODE=offline"
            ) from None

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


def _needed(package: str) -> ModuleType:
    """The package, or InvalidValueError that says how to install it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise InvalidValueError(
            f"tracking with {package} needs the package {package}; install it with pip install "
            f"'interp-toolkit[{package}]'"
        ) from None
