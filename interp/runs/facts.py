"""What a run's files say of it, read without loading torch: tasks, size, steps, seed, accuracy, and what is damaged."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.runs.folders import CONFIG, ENVIRONMENT, METRICS, PARTIAL, Folder, read_object

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RunFacts:
    """What a run is, in short.

    Attributes:
        tasks: Its tasks with their longest trained lengths, the main one first, as in shift10+copy20.
        size: Layers x heads x d_model.
        steps: Training steps.
        seed: The seed.
        main: The main task.
        trained: The main task's longest trained length.
    """

    tasks: str
    size: str
    steps: int
    seed: int
    main: str
    trained: int


def run_facts(path: Path) -> RunFacts | None:
    """What the configuration of a run says; None if it cannot be read."""
    values = read_object(path / CONFIG)
    try:
        config = (values or {})["config"]
        model, train = config["model"], config.get("train") or config["optimizer"]  # its name in format 1
        members = [(Path(one["task"]).name, int(one["max_length"])) for one in config["mixture"]]
        return RunFacts(
            tasks="+".join(f"{name}{length}" for name, length in members),
            size=f"{model['n_layers']}x{model['n_heads']}x{model['d_model']}",
            steps=int(train["steps"]),
            seed=int(config["seed"]),
            main=members[0][0],
            trained=members[0][1],
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def last_accuracy(path: Path) -> "pd.DataFrame":
    """Exact match of a run's averaged weights at the end of training; empty if there is none to be read.

    Columns: task, length, n, accuracy, stderr, nll.
    """
    import pandas as pd
    import pyarrow.parquet as parquet
    from pyarrow.lib import ArrowException

    columns = ["task", "length", "n", "accuracy", "stderr", "nll"]
    try:
        table = parquet.read_table(path / METRICS, columns=["step", "weights", *columns]).to_pandas()
    except (OSError, ValueError, ArrowException):
        return pd.DataFrame(columns=columns)
    last = table[(table["step"] == table["step"].max()) & (table["weights"] == "averaged")]
    return last[columns].reset_index(drop=True)


def two_accuracies(path: Path, facts: RunFacts) -> tuple[tuple[float, int] | None, tuple[float, int] | None]:
    """The main task's exact match as trained, and at transfer, each with its length.

    As trained: at the longest measured length that is no longer than the longest trained one. At transfer: at the
    measured length nearest to halfway from there to the longest measured one.
    """
    table = last_accuracy(path)
    at = {
        int(length): float(value)
        for task, length, value in table[["task", "length", "accuracy"]].itertuples(index=False)
        if task == facts.main
    }
    inside = [length for length in at if length <= facts.trained]
    beyond = [length for length in at if length > facts.trained]
    if not inside:
        return None, None
    trained = max(inside)
    if not beyond:
        return (at[trained], trained), None
    halfway = (facts.trained + max(beyond)) // 2
    transfer = min(beyond, key=lambda length: (abs(length - halfway), length))
    return (at[trained], trained), (at[transfer], transfer)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted keys, the parts of a mixture by their number."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            value = {str(place): one for place, one in enumerate(value)}
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def damage(folder: Folder) -> str:
    """What is broken in a run's folder, in one clause; empty if nothing is, as far as files show without their data."""
    path = folder.path
    if read_object(path / CONFIG) is None:
        return f"{CONFIG} is no whole JSON object"
    if run_facts(path) is None:
        return f"{CONFIG} is not that of a run"
    return "" if path.name.endswith(PARTIAL) else _lost(path)


def _lost(path: Path) -> str:
    """What a finished run lacks."""
    missing = [name for name in (ENVIRONMENT, METRICS) if not (path / name).is_file()]
    if missing:
        return f"{missing[0]} is missing"
    weights = sorted((path / "checkpoints").glob("step-*.safetensors"))
    cut = [file.name for file in weights if not _is_whole(file)]
    if cut:
        return f"checkpoints/{cut[0]} is damaged" + (f", and {len(cut) - 1} more" if len(cut) > 1 else "")
    if not weights:
        return "it has no checkpoint"
    return f"{METRICS} is damaged" if last_accuracy(path).empty else ""


def _is_whole(file: Path) -> bool:
    """Whether a safetensors file has the size that its own header tells."""
    try:
        with file.open("rb") as opened:
            length = struct.unpack("<Q", opened.read(8))[0]
            if length > file.stat().st_size:
                return False
            tensors = json.loads(opened.read(length))
        ends = [one["data_offsets"][1] for name, one in tensors.items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return False
    return file.stat().st_size == 8 + length + max(ends, default=0)
