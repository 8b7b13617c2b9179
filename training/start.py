"""The pretrained checkpoint that a training starts from: found, pinned to its content, and loaded for the tasks."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from tasks import InvalidValueError, Vocabulary
from tasks.errors import unknown_name
from training.config import ModelConfig, StartConfig, TrainConfig
from training.model import HookedTransformer
from training.pretrained import Checkpoint, TokenMap, load_for_tasks, open_checkpoint
from training.pretrained.source import find_folder, split_place
from training.pretrained.tokenizer import FILE
from training.randomness import named_generator


def start_at(place: str) -> dict[str, str]:
    """The keys of a `StartConfig` that say where a checkpoint is, from `FOLDER_OR_NAME[@REVISION]`."""
    name, revision = split_place(place)
    return {"checkpoint": name, **({"revision": revision} if revision else {})}


def pinned(start: StartConfig) -> StartConfig:
    """The same start with the checkpoint's digest, and a folder by its whole path.

    A digest that is there already is left, and compared when the checkpoint is loaded.

    Raises:
        InvalidValueError: No such checkpoint, or two revisions.
        BrokenRunError: The hub cannot be reached, or a file of the checkpoint is missing or damaged.
    """
    if start.digest:
        return start
    folder = find_folder(start.checkpoint, revision=start.revision)
    named = {"revision": start.revision, **start_at(start.checkpoint)}
    place = Path(named["checkpoint"]).expanduser()
    checkpoint = str(place.resolve()) if place.is_dir() else named["checkpoint"]
    return start.model_copy(update={**named, "checkpoint": checkpoint, "digest": checkpoint_digest(folder)})


def checkpoint_digest(folder: Path) -> str:
    """A digest of what a checkpoint's folder says of the model: `config.json`, weights, and tokenizer.

    Raises:
        InvalidValueError: The checkpoint is of a kind that cannot be loaded.
        BrokenRunError: A file is missing or damaged.
    """
    weights = {entry.file for entry in open_checkpoint(folder).shards.entries.values()}
    files = sorted({folder / "config.json", *weights} | {file for file in (folder / FILE,) if file.is_file()})
    stamps = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    return _digest(stamps)


@lru_cache(maxsize=256)
def _digest(stamps: tuple[tuple[Path, int, int], ...]) -> str:
    """A digest of files' names and content; a sweep asks for the same one in every cell."""
    whole = hashlib.sha256()
    for file, size, _ in stamps:
        whole.update(f"{file.name}:{size}:".encode())
        with file.open("rb") as opened:
            whole.update(hashlib.file_digest(opened, "sha256").digest())
    return whole.hexdigest()[:16]


def start_shape(start: StartConfig, vocabulary: Vocabulary) -> ModelConfig:
    """The shape of a checkpoint's model over the tokens of some tasks.

    Raises:
        InvalidValueError: The checkpoint has changed since its digest was written down, is of a kind that cannot be
            loaded, or lacks a character of the tasks.
        BrokenRunError: A file of it is missing or damaged.
    """
    checkpoint = _opened(start)
    TokenMap.of(vocabulary, checkpoint)
    return checkpoint.config.model_copy(update={"d_vocab": len(vocabulary)})


def refuse_other_shape(asked: dict[str, Any], shape: ModelConfig, *, start: StartConfig) -> None:
    """Refuses keys of a model section that contradict the checkpoint's shape.

    Raises:
        UnknownNameError: A key that does not exist.
        InvalidValueError: A key has another value than in the checkpoint.
    """
    there = shape.model_dump(mode="json")
    for key, value in asked.items():
        if key not in there:
            raise unknown_name("config key", key, list(there), listing=f"the keys of 'model' are {', '.join(there)}")
        if value != there[key]:
            raise InvalidValueError(
                f"model.{key} = {value!r}, but in the checkpoint {start.checkpoint!r} it is {there[key]!r}: with start "
                "the shape is the checkpoint's; leave the section model out, as the preset 'finetune' does"
            )


def start_model(config: TrainConfig) -> HookedTransformer:
    """The model that a training starts with: the checkpoint's weights and the rows of the tasks' tokens, in float32.

    Raises:
        InvalidValueError: The checkpoint is gone, has changed since its digest was written down, or has another shape
            than the configuration.
        BrokenRunError: A file of it is missing or damaged.
    """
    if config.start is None:
        raise InvalidValueError("the configuration has no start; give start.checkpoint")
    checkpoint, vocabulary = _opened(config.start), Vocabulary(config.vocabulary)
    shape = checkpoint.config.model_copy(update={"d_vocab": len(vocabulary)})
    refuse_other_shape(config.model.model_dump(mode="json"), shape, start=config.start)
    generator = named_generator(config.seed, "weights")
    return load_for_tasks(checkpoint, vocabulary, generator=generator).model


def _opened(start: StartConfig) -> Checkpoint:
    """The checkpoint, whose content must be what it was."""
    checkpoint = open_checkpoint(start.checkpoint, revision=start.revision)
    now = checkpoint_digest(checkpoint.folder)
    if start.digest not in ("", now):
        raise InvalidValueError(
            f"checkpoint {start.checkpoint!r} at revision {start.revision!r} has changed: its digest was "
            f"{start.digest!r} when the run was made and is {now!r}; bring the old one back, or choose another name"
        )
    return checkpoint
