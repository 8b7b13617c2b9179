"""What lies under `runs`: runs, studies and sweeps, found by their files alone, so that no torch is loaded."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path("runs")
PARTIAL = ".partial"
CONFIG, STUDY, SWEEP, ENVIRONMENT, METRICS = (
    "config.json", "study.json", "sweep.json", "environment.json", "metrics.parquet"
)  # fmt: skip
"""The names of `training.runs`, `training.finding` and `training.folder`, which load torch; a test compares them."""

Kind = Literal["run", "study", "sweep", "folder"]
"""A folder holds runs and says nothing of them itself."""

_DEPTH = 5
"""How deep runs are looked for."""

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""A pretrained checkpoint has one of these beside a `config.json` of its own kind, and is no run."""

_MARKS: dict[str, Kind] = {SWEEP: "sweep", STUDY: "study", CONFIG: "run"}
"""What a folder is, by the first of these files that it has."""


@dataclass(frozen=True)
class Folder:
    """A run, a study, a sweep, or another folder with such in it.

    Attributes:
        path: Where it is.
        kind: What it is.
    """

    path: Path
    kind: Kind

    @property
    def name(self) -> str:
        """Its path below `runs`, or the path as it is."""
        below = below_root(self.path)
        return self.path.as_posix() if below is None else below.as_posix()

    @property
    def finished(self) -> bool:
        """Whether it is trained to the end: of a study, all runs that were begun."""
        if self.kind == "run":
            return not self.path.name.endswith(PARTIAL)
        return bool(self.runs) and all(run.finished for run in self.runs)

    @property
    def runs(self) -> "list[Folder]":
        """The runs inside, unfinished ones too, in the order of their names; a run is its own only one."""
        return list(_runs(self, depth=_DEPTH))

    @property
    def main(self) -> Path:
        """The run that it stands for: a study's is the one with the auxiliary."""
        return self.path / "auxiliary" if self.kind == "study" else self.path

    @property
    def finished_at(self) -> float:
        """When it was trained last, in seconds since 1970."""
        stamps = [_changed(run.path / ENVIRONMENT) or _changed(run.path) for run in self.runs]
        return max(stamps, default=_changed(self.path))

    @property
    def size(self) -> int:
        """Bytes of all of its files; links are not followed."""
        return sum((Path(place) / file).lstat().st_size for place, _, files in os.walk(self.path) for file in files)


def folder_at(path: Path) -> Folder | None:
    """The run, study or sweep in a folder, if it is one."""
    for mark, kind in _MARKS.items():
        if (path / mark).is_file() and not (mark == CONFIG and any((path / name).is_file() for name in WEIGHTS)):
            return Folder(path, kind)
    return None


def folders_below(root: Path = ROOT) -> list[Folder]:
    """All runs, studies, sweeps and folders of such directly in a folder, newest last."""
    found = [folder for folder in map(_any_at, _folders(root)) if folder is not None]
    return sorted(found, key=lambda folder: (folder.finished_at, folder.name))


def find_folder(name: str) -> Folder | None:
    """The run, study or sweep of a name: a path, or one below `runs`; an unfinished run is found by either name."""
    for place in (Path(name), ROOT / name):
        found = folder_at(place)
        if found is None and place.name:
            found = folder_at(place.with_name(place.name + PARTIAL))
        if found is not None:
            return found
    return None


def below_root(path: Path) -> Path | None:
    """A path relative to `runs`, as it is written, links not followed; None if it is not below."""
    path, root = (Path(os.path.abspath(one)) for one in (path, ROOT))  # noqa: PTH100 - resolve() follows links
    return path.relative_to(root) if root in path.parents else None


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def _any_at(path: Path) -> Folder | None:
    found = folder_at(path) or Folder(path, "folder")
    return found if found.kind != "folder" or next(_runs(found, depth=_DEPTH), None) else None


def _runs(folder: Folder, *, depth: int) -> Iterator[Folder]:
    if folder.kind == "run":
        yield folder
    elif depth and not (folder.kind == "folder" and folder.path.is_symlink()):
        for path in _folders(folder.path):
            yield from _runs(folder_at(path) or Folder(path, "folder"), depth=depth - 1)


def _folders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as found:
            return sorted(path / one.name for one in found if one.is_dir() and not one.name.startswith("."))
    except OSError:
        return []


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
