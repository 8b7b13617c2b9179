"""A vocabulary: the characters and the named special tokens that a model reads and writes."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor

from tasks.errors import InvalidValueError

EOS = "[EOS]"
"""The token after every answer; also fills the unscored places behind a shorter example of a batch."""

_LISTED = 200
"""Most tokens that an error names."""

_PIECE = re.compile(r"\[[^\[\]]+\]|.", re.DOTALL)


@dataclass(frozen=True)
class Vocabulary:
    """An ordered set of tokens. A token is one character, or a name in square brackets such as `[EOS]`.

    The token's id is its place in `tokens`. Text is split without ambiguity: a bracketed name is one token,
    any other character is one token, and `[` and `]` by themselves are no tokens.

    Attributes:
        tokens: Every token, once; `[EOS]` must be among them.

    Raises:
        InvalidValueError: A token twice, one that is neither a character nor a bracketed name, or no `[EOS]`.
    """

    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        for token in self.tokens:
            if not _PIECE.fullmatch(token) or token in "[]":
                raise InvalidValueError(
                    f"token {token!r} is neither one character nor a name in square brackets; write it as '[name]'"
                )
        twice = sorted(token for token, count in Counter(self.tokens).items() if count > 1)
        if twice:
            raise InvalidValueError(f"token {twice[0]!r} stands twice in the vocabulary; each may stand once")
        if EOS not in self.tokens:
            raise InvalidValueError(f"the vocabulary lacks {EOS!r}, which ends every answer; add it")

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self.index

    @cached_property
    def index(self) -> dict[str, int]:
        """The id of each token."""
        return {token: place for place, token in enumerate(self.tokens)}

    @property
    def listing(self) -> str:
        """The tokens as an error names them: the first of them if they are many, as a pretrained model's."""
        more = f" and {len(self) - _LISTED:,} more" if len(self) > _LISTED else ""
        return " ".join(self.tokens[:_LISTED]) + more

    @property
    def eos(self) -> int:
        """The id of `[EOS]`."""
        return self.index[EOS]

    def ids(self, tokens: Iterable[str]) -> Int[Tensor, " pos"]:
        """The ids of a sequence of tokens.

        Raises:
            InvalidValueError: A token that is not in the vocabulary.
        """
        pieces = list(tokens)
        for piece in pieces:
            if piece not in self.index:
                raise InvalidValueError(f"{piece!r} is not in the vocabulary; allowed are {self.listing}")
        return torch.tensor([self.index[piece] for piece in pieces], dtype=torch.int64)

    def encode(self, text: str) -> Int[Tensor, " pos"]:
        """Turns text into token ids; `[name]` is one token.

        Raises:
            InvalidValueError: The text has a character or a name that is not in the vocabulary.
        """
        return self.ids(self.pieces(text))

    @staticmethod
    def pieces(text: str) -> list[str]:
        """Splits text into tokens: bracketed names and single characters."""
        return _PIECE.findall(text)

    def split(self, tokens: Int[Tensor, " pos"] | Sequence[int]) -> tuple[str, ...]:
        """Turns token ids into one string per position."""
        places = [int(place) for place in tokens]
        for place in places:
            if not 0 <= place < len(self.tokens):
                raise InvalidValueError(f"token id {place} is outside the vocabulary; allowed are 0 to {len(self) - 1}")
        return tuple(self.tokens[place] for place in places)

    def decode(self, tokens: Int[Tensor, " pos"] | Sequence[int]) -> str:
        """Turns token ids into text, the inverse of `encode`."""
        return "".join(self.split(tokens))

    def union(self, other: "Vocabulary") -> "Vocabulary":
        """This vocabulary, followed by the tokens of `other` that it lacks."""
        return Vocabulary(self.tokens + tuple(token for token in other.tokens if token not in self.index))
