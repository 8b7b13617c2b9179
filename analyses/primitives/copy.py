"""Copying the own token, in the prompt or in the answer."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from analyses.primitives.anatomy import Anatomy
from analyses.primitives.primitive import Primitive, Uses
from analyses.primitives.renaming import Renaming
from tasks import Batch, Task


@dataclass(frozen=True)
class Copy(Primitive):
    """At the prompt's symbols: reads a place with the same token, its own among them, and yields that token.

        tokens            [sort]  [5] [3] [5]  =
        the second [5]       .     x   .   x   .

    Source: Task Hinting, on trained sorters: the first attention layer copies at positions before the end of the input.
    """

    name = "copy"
    summary = "the prompt's symbols read a place with the same token (their own among them), and yield it"
    trades = "every task"

    def serves(self, task: Task) -> bool:
        return True

    def find(self, task: Task, batch: Batch) -> Uses:
        parts = Anatomy.of(task, batch)
        return Uses.of(parts.symbols, same_token(parts), parts.tokens)

    def renaming(self, task: Task, batch: Batch, uses: Uses, maps: Int[Tensor, "draw vocab"]) -> Renaming:
        """It reads the renamed query's token instead of the query's own."""
        return renamed_token(Anatomy.of(task, batch), uses, maps)


@dataclass(frozen=True)
class AnswerCopy(Primitive):
    """At the answer's tokens: reads a place with the same token, its own among them, and yields that token.

        tokens            [sort]  [5] [3] [5]  =  [3]  [5]
        the answer's [5]     .     x   .   x   .   .    x

    It is what tells a sorter how often an element is still to be written.
    """

    name = "answer_copy"
    summary = "the answer's tokens read a place with the same token (their own among them), and yield it"
    trades = "every task"

    def serves(self, task: Task) -> bool:
        return True

    def find(self, task: Task, batch: Batch) -> Uses:
        parts = Anatomy.of(task, batch)
        return Uses.of(parts.answer, same_token(parts), parts.tokens)

    def renaming(self, task: Task, batch: Batch, uses: Uses, maps: Int[Tensor, "draw vocab"]) -> Renaming:
        """It reads the renamed query's token instead of the query's own."""
        return renamed_token(Anatomy.of(task, batch), uses, maps)


def same_token(parts: Anatomy) -> Bool[Tensor, "batch query key"]:
    """True at keys that hold the query's token."""
    return parts.tokens[:, :, None] == parts.tokens[:, None]


def renamed_token(parts: Anatomy, uses: Uses, maps: Int[Tensor, "draw vocab"]) -> Renaming:
    """Renamings of copies: keys that hold the renamed query's token are read."""
    allowed = torch.ones_like(uses.source)
    return Renaming.of_equal(parts.tokens, parts.tokens, allowed, applies=uses.applies, maps=maps)
