"""The same element and the next larger one, read together."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from analyses.primitives.anatomy import NO_VALUE, Anatomy, number_ranks, seen_values
from analyses.primitives.primitive import Primitive, Uses
from analyses.primitives.renaming import NO_CONTENT, Renaming, next_ranked
from analyses.primitives.successor import Successor
from tasks import Batch, Task


@dataclass(frozen=True)
class IdentitySuccessor(Primitive):
    """Where the next element is to follow: reads places with the same element and with the next larger one.

        tokens            [sort]  [5] [3] [9]  =  [3]  [5]  [9]
        answer's [3]         .     x   x   .   .   .
        answer's [5]         .     x   .   x   .   .    .

    It yields the element that follows: the same one where it is repeated, else the larger one; the read-outs are those
    of the places that hold the yielded one. The own position is no source, since every head may look there, and a head
    must read both: one that reads the larger element alone is a `successor` head.
    Source: Task Hinting, on trained sorters: identity and successor in the second attention layer, at output positions.
    """

    name = "identity_successor"
    summary = "the answer reads the same element and the next larger one, and yields the one that follows"
    trades = Successor.trades

    def serves(self, task: Task) -> bool:
        return Successor().serves(task)

    def find(self, task: Task, batch: Batch) -> Uses:
        parts = Anatomy.of(task, batch)
        keys, asked, following = parts.values[:, None], parts.asked[..., None], parts.following[..., None]
        number = keys != NO_VALUE
        same, larger = number & ~parts.own & (keys == asked), parts.sequence[:, None] & (keys == following)
        target = batch.tokens[:, 1:]
        applies = batch.predicting & (parts.asked != NO_VALUE)
        return Uses.of(applies, (same, larger), target, parts.tokens[:, None] == target[..., None])

    def renaming(self, task: Task, batch: Batch, uses: Uses, maps: Int[Tensor, "draw vocab"]) -> Renaming:
        """It reads the renamed element, and the next one of it in the order of the renamed numbers."""
        parts = Anatomy.of(task, batch)
        ranks, values = number_ranks(task, maps.to(parts.values.device)), seen_values(parts, uses.applies)
        asked = ranks[:, parts.asked[uses.applies]]  # the numbers' own order is one of the orders of 0, 1, ...
        following = next_ranked(ranks, values, above=ranks.gather(1, asked))
        allowed = ~parts.own & (parts.values != NO_VALUE)[:, None]
        there = _holds(parts, uses, asked, allowed)
        both = there & (following != NO_CONTENT)
        chosen = torch.stack([torch.where(both, one, NO_CONTENT) for one in (asked, following)])
        return Renaming(parts.values, allowed, torch.arange(len(values), device=ranks.device), chosen)


def _holds(
    parts: Anatomy, uses: Uses, asked: Int[Tensor, "draw use"], allowed: Bool[Tensor, "batch query key"]
) -> Bool[Tensor, "draw use"]:
    """Whether each use sees a value at one of the keys that are allowed."""
    examples, queries = uses.applies.nonzero().T
    inside = (allowed & parts.visible)[examples, queries].int()
    held = torch.zeros(len(examples), parts.none, dtype=torch.int, device=inside.device)
    held.scatter_reduce_(1, parts.values[examples].clamp(min=0), inside, reduce="amax")
    held = torch.nn.functional.pad(held, (0, max(0, int(asked.max()) + 1 - parts.none)))
    return held.gather(1, asked.T).T > 0
