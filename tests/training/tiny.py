"""A training run small enough to be repeated many times in a test."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks import Vocabulary, get_task
from training import Progress, TrainConfig
from training.runs import TIMING

LETTERS = {"alphabet": 4, "case": "lower"}
VOCABULARY = get_task("shift", **LETTERS).vocabulary.union(get_task("copy", **LETTERS).vocabulary)

SHIFT: dict[str, Any] = {"task": "shift", "parameters": LETTERS, "max_length": 3}
COPY: dict[str, Any] = {"task": "copy", "parameters": LETTERS, "max_length": 5}


def tiny_config(
    *,
    mixture: Sequence[Mapping[str, Any]] = (SHIFT, COPY),
    vocabulary: Vocabulary = VOCABULARY,
    seed: int = 0,
    model: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    measure: Mapping[str, Any] | None = None,
) -> TrainConfig:
    """12 steps of 8 examples, checkpoints at 4, 8 and 12, unless told otherwise."""
    shape = {"n_layers": 1, "n_heads": 2, "d_model": 16, "d_mlp": 16, "d_vocab": len(vocabulary)}
    steps = {"steps": 12, "batch_size": 8, "warmup": 2, "learning_rate": 1e-2}
    return TrainConfig.read(
        {
            "mixture": mixture,
            "vocabulary": vocabulary.tokens,
            "model": {**shape, **(model or {})},
            "train": {**steps, **(train or {})},
            "measure": {"checkpoints": 3, "lengths": [2, 4], "n": 8, **(measure or {})},
            "seed": seed,
        }
    )


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def numbers(folder: Path) -> dict[str, bytes]:
    """What a run's configuration determines: all of its files but those that say where and how long it ran."""
    return {name: content for name, content in files(folder).items() if name not in ("environment.json", TIMING)}


class StopError(Exception):
    """What the user's own code raises in `on_step`."""


def stop_at(step: int) -> Callable[[Progress], None]:
    """An `on_step` that raises `StopError` after that step."""

    def on_step(progress: Progress) -> None:
        if progress.step == step:
            raise StopError

    return on_step
