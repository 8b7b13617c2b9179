"""The letter of the prompt that an answer's letter is made from: at a fixed distance, or mirrored."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from analyses.primitives.anatomy import Anatomy
from analyses.primitives.primitive import Primitive, Uses
from tasks import Batch, Task
from tasks.strings import Capitalize, CapitalizeReverse, Copy, Reverse, Shift


@dataclass(frozen=True)
class OffsetCopy(Primitive):
    """Where an answer's letter is predicted: reads the prompt's letter at the same place, and yields that letter.

        tokens       [shift]  a  b  l  =  b  c  m
        the `=`         .     x  .  .  .
        answer's b      .     .  x  .  .  .

    At one length that is a fixed distance back. The letter that is read is yielded, also where the answer is made of it
    by a further step (`shift`, `capitalize`).
    """

    name = "offset_copy"
    summary = "the answer reads the prompt's letter at the same place, a fixed distance back, and yields it"
    trades = "copy, shift and capitalize"

    def serves(self, task: Task) -> bool:
        return isinstance(task, (Copy, Shift, Capitalize))

    def find(self, task: Task, batch: Batch) -> Uses:
        parts = Anatomy.of(task, batch)
        return letter_uses(parts, parts.symbols.int().argmax(dim=1, keepdim=True) + answer_place(parts))


@dataclass(frozen=True)
class MirrorCopy(Primitive):
    """Where an answer's letter is predicted: reads the prompt's letter at the mirrored place, and yields that letter.

    tokens       [reverse]  a  b  l  =  l  b  a
    the `=`          .      .  .  x  .
    answer's l       .      .  x  .  .  .
    """

    name = "mirror_copy"
    summary = "the answer reads the prompt's letter at the mirrored place, and yields it"
    trades = "reverse and capitalize_reverse"

    def serves(self, task: Task) -> bool:
        return isinstance(task, (Reverse, CapitalizeReverse))

    def find(self, task: Task, batch: Batch) -> Uses:
        parts = Anatomy.of(task, batch)
        first, count = parts.symbols.int().argmax(dim=1, keepdim=True), parts.symbols.sum(dim=1, keepdim=True)
        return letter_uses(parts, first + count - 1 - answer_place(parts))


def answer_place(parts: Anatomy) -> Int[Tensor, "batch input"]:
    """The number of the answer's token that each position predicts, from 0; negative before the end of the input."""
    place = torch.arange(parts.tokens.shape[1], device=parts.tokens.device)
    return place - parts.end.int().argmax(dim=1, keepdim=True)


def letter_uses(parts: Anatomy, at: Int[Tensor, "batch input"]) -> Uses:
    """The uses of reading one of the prompt's symbols, at the positions that predict an answer's token."""
    inside = parts.symbols.gather(1, at.clamp(0, at.shape[1] - 1)) & (at >= 0) & (at < at.shape[1])
    read = parts.tokens.gather(1, at.clamp(0, at.shape[1] - 1))
    return Uses.of((parts.end | parts.answer) & inside, parts.at(at), read)
