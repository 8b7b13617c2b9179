"""A run's folder while it is being trained: held by one process, opened, and closed when the run is whole."""

import platform
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from tasks import BrokenRunError, InvalidValueError
from training.config import TrainConfig
from training.files import read_json, remove_parts, write_json
from training.run_config import FORMAT, mixture_of, read_config

STATE = "state.safetensors"
"""In an unfinished run's folder, the file that training goes on from."""

ENVIRONMENT = "environment.json"
"""Where and with which versions the run was trained."""

DECISIVE = ("interp-toolkit", "torch")
"""The packages that the numbers depend on."""


@contextmanager
def alone(partial: Path) -> Generator[None, None, None]:
    """Holds a lock on the run, so that two processes cannot train into one folder."""
    lock = partial.with_name(partial.name + ".lock")
    held = FileLock(lock, timeout=0)
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=partial.parent).close()  # where this fails, the lock would look taken
        held.acquire()
    except Timeout:
        raise BrokenRunError(
            f"another process is training {str(partial)!r}; wait for it, or choose another name"
        ) from None
    except OSError as error:
        raise InvalidValueError(
            f"cannot write {str(partial)!r}: {error.strerror or error}; choose another place"
        ) from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # while it is held: whoever opened it by now finds that it is gone, and tries anew
        held.release()


def open_folder(partial: Path, config: TrainConfig) -> None:
    """Starts the run's folder, or checks that what is there belongs to this configuration and these versions.

    Raises:
        InvalidValueError: It belongs to others.
        BrokenRunError: It is damaged, or a task has another version now.
    """
    file = partial / "config.json"
    if (partial / STATE).exists():
        refuse_other(read_config(read_json(file), partial), config, partial)
        _refuse_other_versions(partial)
        remove_parts(partial)
        return
    if partial.is_dir():
        shutil.rmtree(partial)  # left by a process that was killed before its first checkpoint
    tasks = {member.task.name: member.task.version for member in mixture_of(config)}
    write_json(file, {"format": FORMAT, "tasks": tasks, "config": config.model_dump(mode="json")})
    write_json(partial / ENVIRONMENT, _environment())


def _environment() -> dict[str, Any]:
    """Where a run is trained, and with what."""
    packages = ("interp-toolkit", "torch", "transformer-lens", "numpy", "pandas", "safetensors")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        **{name: version(name) for name in packages},
    }


def _refuse_other_versions(partial: Path) -> None:
    """Raises InvalidValueError if the run was begun with versions that may give other numbers."""
    there, here = read_json(partial / ENVIRONMENT), _environment()
    other = [
        f"{name} is {there.get(name)} there, {here[name]} here" for name in DECISIVE if there.get(name) != here[name]
    ]
    if other:
        raise InvalidValueError(
            f"{str(partial)!r} was begun with other versions ({'; '.join(other)}), so going on would give other "
            "numbers; install those, choose another name, or remove that folder"
        )


def close_folder(partial: Path, path: Path, *, seconds: float) -> None:
    """Writes down how long it took, then gives the folder its final name: from here on it can be loaded."""
    write_json(partial / ENVIRONMENT, {**_environment(), "seconds": round(seconds, 1)})
    try:
        partial.rename(path)
    except OSError as error:
        raise InvalidValueError(f"cannot write {str(path)!r}: {error.strerror or error}; choose another name") from None
    (path / STATE).unlink()


def refuse_other(there: TrainConfig, asked: TrainConfig, path: Path) -> None:
    """Raises InvalidValueError, naming the first differences, unless the configurations are equal."""
    old, new = _flat(there.model_dump(mode="json")), _flat(asked.model_dump(mode="json"))
    other = [
        f"{key} is {old.get(key)} there, {new.get(key)} here" for key in {**old, **new} if old.get(key) != new.get(key)
    ]
    if other:
        raise InvalidValueError(
            f"{str(path)!r} holds a run with another configuration ({'; '.join(other[:3])}); "
            "choose another name, or remove that folder"
        )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
