"""Which token of a checkpoint stands for each token of a task."""

import re
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from tasks import InvalidValueError, Vocabulary
from tasks.vocabulary import EOS
from training.pretrained.checkpoint import Checkpoint

_BRACKETED = re.compile(r"\[[^\[\]]+\]")
_SHORT = 4
"""A character is at most so many bytes, so pieces of more characters are none."""


@dataclass(frozen=True)
class TokenMap:
    """The checkpoint's id of every token of a vocabulary.

        vocabulary    [EOS]   [copy]   a    b    =         [copy] has no token there and gets the next free id
        ids               0    49152   81   82   45

    Attributes:
        vocabulary: The tokens as tasks write them; a token's place is its id in the model.
        ids: Each one's id in the checkpoint.
        appended: The tokens that the checkpoint lacks; their ids follow the tokenizer's last.
    """

    vocabulary: Vocabulary
    ids: tuple[int, ...]
    appended: tuple[str, ...] = ()

    @classmethod
    def of(cls, vocabulary: Vocabulary, checkpoint: Checkpoint) -> "TokenMap":
        """Finds each token of a vocabulary in a checkpoint.

        A character is the checkpoint's token for that single character; `[EOS]` is its end of text (`eos_token_id`),
        and `[BOS]` its beginning (`bos_token_id`) where that is another token; any other name in square brackets, or
        one of these that it lacks, is the checkpoint's token of that name, or a new one.

        Raises:
            InvalidValueError: A character has no token of its own, or `eos_token_id` or `bos_token_id` is outside
                the vocabulary.
            BrokenRunError: The checkpoint has no tokenizer.
        """
        tokenizer, found = checkpoint.tokenizer, {}
        for token in vocabulary.tokens:
            place = checkpoint.named.get(token, tokenizer.id_of(token))
            if place is not None:
                found[token] = place
            elif len(token) == 1:
                raise InvalidValueError(
                    f"{str(tokenizer.file)!r} has no token that is the character {token!r} alone; tasks are read one "
                    "character a token, so choose another checkpoint, or tasks without this character"
                )
        appended = tuple(token for token in vocabulary.tokens if token not in found)
        found |= {token: len(tokenizer) + number for number, token in enumerate(appended)}
        if len(set(found.values())) < len(found):
            raise InvalidValueError(f"{str(tokenizer.file)!r} has one id for two tokens of the tasks; choose another")
        return cls(vocabulary, tuple(found[token] for token in vocabulary.tokens), appended)

    @classmethod
    def whole(cls, checkpoint: Checkpoint) -> "TokenMap":
        """Every token of a checkpoint at its own id, under a name that a `Vocabulary` allows.

        Tokens that are a single character have its name, and end and beginning of a text are `[EOS]` and `[BOS]`, so
        tasks without other names in brackets can be bound to it; other pieces stand in square brackets, ids without a
        piece as `[#id]`. Without an end of text the last token has the name `[EOS]`, which every vocabulary must have.
        """
        names = _names(checkpoint)
        return cls(Vocabulary(tuple(names)), tuple(range(len(names))))

    @property
    def size(self) -> int:
        """How many rows the checkpoint's embedding needs, as far as these tokens are concerned."""
        return max(self.ids) + 1

    def to_checkpoint(self, tokens: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """The checkpoint's ids of tokens given by their place in the vocabulary."""
        return torch.tensor(self.ids, device=tokens.device)[tokens]

    def from_checkpoint(self, ids: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """Undoes `to_checkpoint`.

        Raises:
            InvalidValueError: An id that no token of the vocabulary has.
        """
        places = torch.full((max(self.size, int(ids.max()) + 1),), -1, device=ids.device)
        places[torch.tensor(self.ids, device=ids.device)] = torch.arange(len(self.ids), device=ids.device)
        tokens = places[ids]
        if (tokens < 0).any():
            raise InvalidValueError(f"the checkpoint's id {int(ids[tokens < 0][0])} is no token of this vocabulary")
        return tokens


def _names(checkpoint: Checkpoint) -> list[str]:
    """A name for each id: every name once, none but characters and names in square brackets."""
    names = [f"[#{place}]" for place in range(checkpoint.config.d_vocab)]
    if checkpoint.has_tokenizer:
        tokenizer, taken = checkpoint.tokenizer, {*names, *checkpoint.named}
        for piece, place in tokenizer.pieces.items():
            text = tokenizer.decode([place]) if len(piece) <= _SHORT else piece
            single = len(text) == 1 and text not in "[]" and tokenizer.id_of(text) == place
            name = text if single else piece if _BRACKETED.fullmatch(piece) else f"[{piece}]"
            if name not in taken and (single or _BRACKETED.fullmatch(name)):
                names[place] = name
                taken.add(name)
    for name, place in checkpoint.named.items():
        names[place] = name
    if EOS not in names:
        names[-1] = EOS
    return names
