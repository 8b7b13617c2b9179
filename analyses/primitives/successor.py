"""The next larger element."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from analyses.primitives.anatomy import Anatomy, number_ranks, seen_values
from analyses.primitives.primitive import Primitive, Uses
from analyses.primitives.renaming import Renaming, next_ranked
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

    def renaming(self, task: Task, batch: Batch, uses: Uses, maps: Int[Tensor, "draw vocab"]) -> Renaming:
        """It reads the element that is the next in the order of the renamed numbers."""
        parts = Anatomy.of(task, batch)
        ranks, values = number_ranks(task, maps.to(parts.values.device)), seen_values(parts, uses.applies)
        chosen = next_ranked(ranks, values, above=ranks[:, parts.asked[uses.applies]])[None]
        case = torch.arange(len(values), device=ranks.device)
        return Renaming(parts.values, parts.sequence[:, None].expand_as(uses.source), case, chosen)
