"""The next larger element."""

from dataclasses import dataclass

import torch

from analyses.primitives.anatomy import Anatomy
from analyses.primitives.primitive import Primitive, Uses
from tasks import Batch, Task
from tasks.sorting import Sort
from tasks.sorting import Successor as SuccessorTask


@dataclass(frozen=True)
class Successor(Primitive):
    """Where a larger element is to follow: reads the next larger element of the sequence, and yields it.

        tokens            [sort]  [5] [3] [9]  =  [3]  [5]  [9]
        answer's [3]         .     x   .   .   .   .
        answer's [5]         .     .   .   x   .   .    .

    In `sort` it applies at the answer's elements that are followed by a larger one; in `successor` at the `=`, which
    asks about the number before it.
    Source: Task Hinting, on trained sorters: the second attention layer finds the successor at output positions.
    """

    name = "successor"
    summary = "the answer reads the next larger element of the input, and yields it"
    trades = "sort and successor"

    def serves(self, task: Task) -> bool:
        return isinstance(task, (Sort, SuccessorTask))

    def find(self, task: Task, batch: Batch) -> Uses:
        parts = Anatomy.of(task, batch)
        following, none = parts.following, parts.none
        numbers = task.vocabulary.ids(task.replaceable).to(following.device)
        token = numbers[following.clamp(max=none - 1)]
        applies = batch.predicting & (following < none) & (token == batch.tokens[:, 1:])
        source = parts.sequence[:, None] & (parts.values[:, None] == following[..., None])
        return Uses.of(applies, source, torch.where(applies, token, batch.tokens[:, 1:]))
