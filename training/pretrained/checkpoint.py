"""A checkpoint that was found: its folder, shape, weights and tokenizer, all of them checked and none yet loaded."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tasks import InvalidValueError
from tasks.frame import BOS
from tasks.vocabulary import EOS
from training.config import ModelConfig
from training.pretrained.architecture import read_architecture
from training.pretrained.fields import Fields
from training.pretrained.shards import Shards
from training.pretrained.source import MAIN, find_folder
from training.pretrained.tokenizer import FILE, CheckpointTokenizer
from training.pretrained.weights import check_weights


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's folder, opened.

    Attributes:
        folder: The folder.
        fields: Its `config.json`.
        config: The model's shape, over the checkpoint's whole vocabulary.
        shards: Its weights, not yet read.
    """

    folder: Path
    fields: Fields
    config: ModelConfig
    shards: Shards

    @property
    def has_tokenizer(self) -> bool:
        """Whether there is a `tokenizer.json`."""
        return (self.folder / FILE).is_file()

    @cached_property
    def tokenizer(self) -> CheckpointTokenizer:
        """The tokenizer.

        Raises:
            BrokenRunError: There is none, or it is damaged.
            InvalidValueError: It has more tokens than the embedding has rows.
        """
        tokenizer = CheckpointTokenizer.read(self.folder)
        if len(tokenizer) > self.config.d_vocab:
            raise InvalidValueError(
                f"{str(tokenizer.file)!r} has ids up to {len(tokenizer) - 1}, but field 'vocab_size' of "
                f"{str(self.fields.file)!r} is {self.config.d_vocab}; they belong to different checkpoints"
            )
        return tokenizer

    @cached_property
    def named(self) -> dict[str, int]:
        """The ids of `[EOS]` and `[BOS]`, as far as the checkpoint has them.

        They are `eos_token_id`, the first if there are several, and `bos_token_id` where it is another token.

        Raises:
            InvalidValueError: An id is outside the vocabulary.
        """
        end, start = self._special("eos_token_id"), self._special("bos_token_id")
        return ({} if end is None else {EOS: end}) | ({} if start in (None, end) else {BOS: start})

    def _special(self, field: str) -> int | None:
        value = self.fields.values.get(field)
        place = next(iter(value), None) if isinstance(value, list) else value
        if place is not None and (type(place) is not int or not 0 <= place < self.config.d_vocab):
            raise self.fields.refused(field, f"ids are 0 to {self.config.d_vocab - 1}")
        return place


def open_checkpoint(source: str | Path, *, revision: str = MAIN) -> Checkpoint:
    """Finds a checkpoint and checks that its files are whole, agree, and can be loaded. No weight is read.

    Args:
        source: A folder, or a name on the hub, perhaps with `@` and a revision (`source.find_folder`).
        revision: A branch, tag or commit of the hub; of a folder, the folder in it that has this name.

    Raises:
        InvalidValueError: No such checkpoint, or one of a kind that cannot be loaded; the text names file and field.
        BrokenRunError: The hub cannot be reached, or a file is missing, damaged or truncated.
    """
    folder = find_folder(source, revision=revision)
    fields = Fields.read(folder / "config.json")
    config = read_architecture(fields)
    shards = Shards.open(folder)
    check_weights(config, shards, fields)
    return Checkpoint(folder, fields, config, shards)
