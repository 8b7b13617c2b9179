"""A checkpoint's tokenizer: text to ids, and the one token that is a single character."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from tasks import BrokenRunError, InvalidValueError
from training.files import write_whole
from training.pretrained.fields import FETCH_AGAIN

FILE = "tokenizer.json"

_SPACE = "\u2581"
"""What stands for a space in the pieces of SentencePiece."""


@dataclass(frozen=True)
class CheckpointTokenizer:
    """The tokenizer in a checkpoint's `tokenizer.json`, run by the `tokenizers` library.

    Attributes:
        file: The file.
        library: The library's own object.
    """

    file: Path
    library: Any

    @classmethod
    def read(cls, folder: Path) -> "CheckpointTokenizer":
        """Reads the tokenizer of a checkpoint.

        Raises:
            BrokenRunError: The file is missing or damaged.
        """
        from tokenizers import Tokenizer

        file = folder / FILE
        if not file.is_file():
            raise BrokenRunError(
                f"{str(file)!r} is missing: without it no task can be written in the checkpoint's tokens; {FETCH_AGAIN}"
            )
        try:
            return cls(file, Tokenizer.from_file(str(file)))
        except Exception as error:  # noqa: BLE001 - the library raises plain Exception, with its reason
            raise BrokenRunError(f"{str(file)!r} is no tokenizer ({error}); {FETCH_AGAIN}") from None

    def __len__(self) -> int:
        return max(self.pieces.values(), default=-1) + 1

    @cached_property
    def pieces(self) -> dict[str, int]:
        """The id of each piece, as the tokenizer writes it."""
        return self.library.get_vocab(with_added_tokens=True)

    def encode(self, text: str) -> Int[Tensor, " pos"]:
        """The ids of a text, as a language model reads it; no token is added before or behind."""
        return torch.tensor(self.library.encode(text, add_special_tokens=False).ids, dtype=torch.int64)

    def decode(self, ids: Int[Tensor, " pos"] | Iterable[int]) -> str:
        """The text of ids."""
        return self.library.decode([int(one) for one in ids], skip_special_tokens=False)

    def id_of(self, token: str) -> int | None:
        """The id of the one token that is a character, or a name in square brackets; None if there is none.

        A character's token is the piece that stands for it inside a word, not at the beginning of one, and decodes to
        that character and nothing else.
        """
        if len(token) > 1:
            return self.pieces.get(token)
        forms = (token, _byte_level(token), _SPACE if token == " " else token)
        for piece in dict.fromkeys(forms):
            place = self.pieces.get(piece)
            if place is not None and self.decode([place]) == token:
                return place
        whole = self.encode(token).tolist()
        return whole[0] if len(whole) == 1 and self.decode(whole) == token else None

    def save_with(self, tokens: dict[str, int], folder: Path) -> None:
        """Writes `tokenizer.json` into a folder, with further tokens that stand for themselves in any text.

        Raises:
            InvalidValueError: The tokenizer gives one of them another id, or does not read it back as one token.
        """
        from tokenizers import AddedToken, Tokenizer

        copy = Tokenizer.from_str(self.library.to_str())
        for token, place in tokens.items():
            copy.add_tokens([AddedToken(token, normalized=False)])
            if copy.token_to_id(token) != place or copy.encode(token, add_special_tokens=False).ids != [place]:
                raise InvalidValueError(
                    f"{str(self.file)!r} cannot take token {token!r} as id {place}: it reads it as "
                    f"{copy.encode(token, add_special_tokens=False).ids}; choose another checkpoint"
                )
        write_whole(folder / FILE, lambda part: copy.save(str(part)))


def _byte_level(character: str) -> str:
    """How byte-level tokenizers write a character: each of its bytes as one visible character (GPT-2's table)."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in visible]
    table = {byte: chr(byte) for byte in visible} | {byte: chr(256 + place) for place, byte in enumerate(others)}
    return "".join(table[byte] for byte in character.encode())
