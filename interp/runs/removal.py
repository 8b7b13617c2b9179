"""Removing runs: only what is one, only below `runs`, never through a link, never while it is being trained."""

import shutil
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from interp.runs.folders import (
    CONFIG,
    ENVIRONMENT,
    METRICS,
    PARTIAL,
    ROOT,
    STUDY,
    SWEEP,
    Folder,
    below_root,
    find_folder,
    folders_below,
    read_object,
)

_OF_A_RUN = (CONFIG, "checkpoints", ENVIRONMENT, METRICS, "timing.parquet", "state.safetensors")
"""A damaged run has two of these at least."""


def removable(name: str) -> Folder:
    """The folder that a name stands for, if it may be removed.

    Raises:
        UnknownNameError: There is no such run, study or sweep.
        InvalidValueError: It is something else, a link, not below `runs`, or holds something of another's.
    """
    from tasks import InvalidValueError
    from tasks.errors import unknown_name

    folder = find_folder(name)
    if folder is None:
        if any(place.exists() or place.is_symlink() for place in (Path(name), ROOT / name)):
            raise InvalidValueError(f"{name!r} is neither a run nor a study nor a sweep; remove it by hand if you must")
        raise unknown_name("run", name, _names(), listing="'interp runs' lists them")
    below = below_root(folder.path)
    if below is None:
        raise InvalidValueError(f"{name!r} does not lie below {str(ROOT)!r}; remove it by hand if you must")
    if folder.path.resolve() != ROOT.resolve() / below:
        raise InvalidValueError(f"{name!r} is a link or lies behind one, which is not followed; remove it by hand")
    if not _is_ours(folder):
        raise InvalidValueError(f"{name!r} does not look like a {folder.kind} of ours; remove it by hand if you must")
    refuse_others(folder)
    return folder


_OURS = frozenset(
    {
        *_OF_A_RUN, STUDY, SWEEP, "results", "results.parquet", "cells.parquet", "figures", "tables", "report.html",
        "comparison.html",
    }
)  # fmt: skip
"""What the toolkit writes into a run, a study or a sweep, beside their runs."""


def refuse_others(folder: Folder) -> None:
    """Raises InvalidValueError if something in the folder, or in one of its runs, is not the toolkit's."""
    from tasks import InvalidValueError

    runs = {run.path for run in folder.runs}
    others = sorted(
        str(place.relative_to(folder.path))
        for one in {folder.path, *runs}
        if one.is_dir()
        for place in one.iterdir()
        if place.name not in _OURS and place not in runs and not _passing(place.name)
    )
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        raise InvalidValueError(
            f"{str(folder.path)!r} holds what the toolkit did not write: {', '.join(others[:5])}{more}; move that away "
            "first, or remove the folder by hand"
        )


def _passing(name: str) -> bool:
    """Whether it is a file that is being written, or was when something was killed, a lock, or an unfinished run."""
    return ".part" in name or name.endswith(".lock") or PARTIAL in name


def remove_folder(folder: Folder) -> None:
    """Removes a run, a study or a sweep; interrupted, what is left is still one, and can be removed.

    Raises:
        InvalidValueError: Another process is training it, or it cannot be removed.
    """
    from tasks import InvalidValueError

    mark = {"run": CONFIG, "study": STUDY, "sweep": SWEEP}[folder.kind]
    with ExitStack() as held:
        for run in folder.runs:
            if not run.finished:
                _hold(run.path, held)
        try:
            for place in sorted(folder.path.iterdir(), key=lambda place: place.name == mark):
                shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
            folder.path.rmdir()
        except OSError as error:
            raise InvalidValueError(
                f"cannot remove {error.filename or str(folder.path)!r}: {error.strerror or error}; mend that, and try "
                "again"
            ) from None


def _hold(partial: Path, held: ExitStack) -> None:
    """Takes the lock that training holds, so that nothing is removed under it."""
    from tasks import InvalidValueError

    lock = partial.with_name(partial.name + ".lock")
    try:
        held.enter_context(FileLock(lock, timeout=0))
    except Timeout:
        raise InvalidValueError(f"another process is training {str(partial)!r}; stop it first") from None
    held.callback(lock.unlink, missing_ok=True)


def _is_ours(folder: Folder) -> bool:
    if folder.kind == "run":
        values = read_object(folder.path / CONFIG) or {}
        whole = isinstance(values.get("format"), int) and isinstance(values.get("config"), dict)
        return whole or sum((folder.path / name).exists() for name in _OF_A_RUN) > 1
    return "format" in (read_object(folder.path / (STUDY if folder.kind == "study" else SWEEP)) or {})


def _names() -> list[str]:
    return [folder.name.removesuffix(PARTIAL) for folder in folders_below()]
