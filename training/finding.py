"""Finding runs and sweeps: by path, by name under `runs`, or the newest."""

from pathlib import Path

from tasks import BrokenRunError
from tasks.errors import unknown_name
from training.files import read_json
from training.pretrained.shards import INDEX, WHOLE
from training.run_config import ROOT, read_config, run_name
from training.runs import PARTIAL, STUDY, Run

SWEEP = "sweep.json"
"""The file that makes a folder a sweep: it holds one run per configuration."""


def list_runs(root: Path = ROOT) -> list[str]:
    """The names of all finished runs (those of sweeps too) and studies under a folder, newest last.

    Pretrained checkpoints, which have a `config.json` of their own kind, are none.
    """
    runs = [path.parent for path in root.rglob("config.json") if not _holds_weights(path.parent)]
    studies = [path.parent for path in root.rglob(STUDY) if (path.parent / "auxiliary" / "config.json").is_file()]
    whole = [path for path in runs + studies if not any(part.endswith(PARTIAL) for part in path.parts)]
    return [run_name(path, root) for path in sorted(whole, key=lambda path: (_finished_at(path), path.name))]


def _holds_weights(folder: Path) -> bool:
    """Whether it is a pretrained checkpoint's; a run has its weights in `checkpoints`."""
    return any((folder / name).is_file() for name in (WHOLE, INDEX))


def _finished_at(folder: Path) -> int:
    """When a run, or a study's main run, was finished: `environment.json` is written last."""
    run = folder / "auxiliary" if (folder / STUDY).is_file() else folder
    last = run / "environment.json"
    return (last if last.is_file() else run).stat().st_mtime_ns


def load_run(name: str | Path | None = None, *, root: Path = ROOT) -> Run:
    """Reads a run.

    Args:
        name: A folder, or a name under `root`; None is the newest. A study's folder stands for its run `auxiliary`; a
            sweep's stands for none: name a cell, as in `sweep/cell`.
        root: Where runs are kept.

    Raises:
        UnknownNameError: No such run.
        BrokenRunError: The run is unfinished, damaged, or written by a newer version.
    """
    folder = _newest(root) if name is None else _named(name, root)
    if (folder / STUDY).is_file():
        folder = folder / "auxiliary"
        if not folder.is_dir():
            raise _unfinished(run_name(folder, root))
    return Run(folder, read_config(read_json(folder / "config.json"), folder))


def list_sweeps(root: Path = ROOT) -> list[str]:
    """The names of all sweeps under a folder, the one that was started last at the end."""
    files = sorted(root.rglob(SWEEP), key=lambda file: (file.stat().st_mtime_ns, file.parent.name))
    return [run_name(file.parent, root) for file in files]


def find_sweep(name: str | Path | None = None, root: Path = ROOT) -> Path:
    """The folder of a sweep, whether or not all of its cells are finished.

    Args:
        name: A folder, or a name under `root`; None is the sweep that was started last.
        root: Where runs are kept.

    Raises:
        UnknownNameError: No such sweep.
        BrokenRunError: There is no sweep at all, or the folder holds something else.
    """
    names = list_sweeps(root)
    if name is None:
        if not names:
            raise BrokenRunError(f"there is no sweep under {str(root)!r}; 'interp sweep' makes one")
        return root / names[-1]
    places = (Path(name), root / name)
    listing = f"{str(root)!r} has {', '.join(names[-5:])}" if names else f"{str(root)!r} has no sweep at all"
    try:
        for folder in places:
            if (folder / SWEEP).is_file():
                return folder
        for folder in places:
            if folder.is_dir():
                raise BrokenRunError(f"{str(folder)!r} holds no sweep: {SWEEP} is missing; {listing}")
    except OSError as error:
        raise BrokenRunError(f"sweep {str(name)!r} cannot be read: {error.strerror or error}; {listing}") from None
    raise unknown_name("sweep", str(name), names, listing=listing)


def sweep_runs(folder: Path) -> list[Run]:
    """All finished runs of a sweep, also those of cells that its grid no longer has, in the order of their names.

    Raises:
        BrokenRunError: One of them is damaged, or written by a newer version.
    """
    return [load_run(path) for path in _cells(folder)]


def _cells(sweep: Path) -> list[Path]:
    """The folders of a sweep's finished runs, in the order of their names."""
    return sorted(path.parent for path in sweep.glob("*/config.json") if path.parent.suffix != PARTIAL)


def _newest(root: Path) -> Path:
    names = list_runs(root)
    if not names:
        raise BrokenRunError(f"there is no run under {str(root)!r}; 'interp demo' or 'interp train' makes one")
    top = [run for run in names if (root / run / STUDY).is_file()] or names
    return root / (names[-1] if names[-1].partition("/")[0] not in top else names[-1].partition("/")[0])


def _named(name: str | Path, root: Path) -> Path:
    places = (Path(name), root / name)
    try:
        for folder in places:
            if folder.name.endswith(PARTIAL) and folder.is_dir():
                raise _unfinished(str(name))
            if (folder / "config.json").is_file() or (folder / STUDY).is_file():
                return folder
        for folder in places:
            if folder.name and folder.with_name(folder.name + PARTIAL).is_dir():
                raise _unfinished(str(name))
            if (folder / SWEEP).is_file():
                raise _many(folder, root)
            if folder.is_dir():
                raise BrokenRunError(f"{str(folder)!r} holds no run: config.json is missing; {_listing(root)}")
    except OSError as error:
        raise BrokenRunError(f"run {str(name)!r} cannot be read: {error.strerror or error}; {_listing(root)}") from None
    raise unknown_name("run", str(name), list_runs(root), listing=_listing(root))


def _unfinished(name: str) -> BrokenRunError:
    return BrokenRunError(f"run {name!r} is not finished; start the command that trains it once more, and it goes on")


def _many(sweep: Path, root: Path) -> BrokenRunError:
    runs = [run_name(path, root) for path in _cells(sweep)]
    which = f"name one of its {len(runs)}, as in {runs[0]!r}" if runs else "and none is finished yet"
    return BrokenRunError(f"{str(sweep)!r} holds a sweep, not a single run; {which}")


def _listing(root: Path) -> str:
    names = list_runs(root)
    shown = ", ".join(names[-5:]) if names else "no run at all; 'interp demo' makes one"
    return f"{str(root)!r} has {shown}"
