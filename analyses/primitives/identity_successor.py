"""The same element and the next larger one, read together."""

from dataclasses import dataclass

from analyses.primitives.anatomy import NO_VALUE, Anatomy
from analyses.primitives.primitive import Primitive, Uses
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
