"""The next larger element."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from analyses.primitives.anatomy import NO_VALUE, Anatomy, number_ranks, seen_values
from analyses.primitives.primitive import Primitive, Uses
from analyses.primitives.renaming import Renaming, next_ranked
from tasks import Batch, Task
from tasks.sorting import Sort
from tasks.sorting import Successor as SuccessorTask


@dataclass(frozen=True)
class Successor(Primitive):
    """At a number whose follower is asked for: reads the next larger element of the sequence, and yields it.

        tokens            [sort]  [5] [3] [9]  =  [3]  [5]  [9]
        answer's [3]         .     x   .   .   .   .
        answer's [5]         .     .   .   x   .   .    .

        tokens            [successor]  [5] [3] [9]  ,  [5]  =
        the query's [5]        .        .   .   x   .   .

    In `sort` it applies at the answer's elements that are followed by a larger one; in `successor` at the number that
    is asked about. There the output is not due yet: a later head must bring it to the `=`, or one does all at the
    `=` (`end_successor`).
    Source: Task Hinting, on trained sorters: the second attention layer finds the successor at output positions.
    """

    name = "successor"
    summary = "a number whose follower is asked for reads the next larger element of the input, and yields it"
    trades = "sort and successor"

    def serves(self, task: Task) -> bool:
        return isinstance(task, (Sort, SuccessorTask))

    def find(self, task: Task, batch: Batch) -> Uses:
        parts = Anatomy.of(task, batch)
        query = parts.symbols & ~parts.sequence & (parts.values != NO_VALUE)
        follows = batch.predicting & ~parts.end & (_following_token(task, parts) == batch.tokens[:, 1:])
        return _uses(task, batch, parts, query | follows)

    def renaming(self, task: Task, batch: Batch, uses: Uses, maps: Int[Tensor, "draw vocab"]) -> Renaming:
        """It reads the element that is the next in the order of the renamed numbers."""
        return _renaming(task, batch, uses, maps)


@dataclass(frozen=True)
class EndSuccessor(Primitive):
    """At the end of the input: reads the next larger element than the number asked about, and yields it.

        tokens            [successor]  [5] [3] [9]  ,  [5]  =
        the `=`                .        .   .   x   .   .   .

    The `=` must know of the number before it, so that a first layer can hardly do it.
    """

    name = "end_successor"
    summary = "the end of the input reads the next larger element than the number asked about, and yields it"
    trades = "successor"

    def serves(self, task: Task) -> bool:
        return isinstance(task, SuccessorTask)

    def find(self, task: Task, batch: Batch) -> Uses:
        parts = Anatomy.of(task, batch)
        return _uses(task, batch, parts, parts.end & (_following_token(task, parts) == batch.tokens[:, 1:]))

    def renaming(self, task: Task, batch: Batch, uses: Uses, maps: Int[Tensor, "draw vocab"]) -> Renaming:
        """It reads the element that is the next in the order of the renamed numbers."""
        return _renaming(task, batch, uses, maps)


def _following_token(task: Task, parts: Anatomy) -> Int[Tensor, "batch input"]:
    """The token of the next larger element at each position; without meaning where there is none."""
    numbers = task.vocabulary.ids(task.replaceable).to(parts.values.device)
    return numbers[parts.following.clamp(max=parts.none - 1)]


def _uses(task: Task, batch: Batch, parts: Anatomy, asking: Bool[Tensor, "batch input"]) -> Uses:
    """The uses at positions that ask for the next larger element, where there is one."""
    following = parts.following
    applies = asking & (following < parts.none)
    source = parts.sequence[:, None] & (parts.values[:, None] == following[..., None])
    return Uses.of(applies, source, torch.where(applies, _following_token(task, parts), batch.tokens[:, 1:]))


def _renaming(task: Task, batch: Batch, uses: Uses, maps: Int[Tensor, "draw vocab"]) -> Renaming:
    parts = Anatomy.of(task, batch)
    ranks, values = number_ranks(task, maps.to(parts.values.device)), seen_values(parts, uses.applies)
    chosen = next_ranked(ranks, values, above=ranks[:, parts.asked[uses.applies]])[None]
    case = torch.arange(len(values), device=ranks.device)
    return Renaming(parts.values, parts.sequence[:, None].expand_as(uses.source), case, chosen)
