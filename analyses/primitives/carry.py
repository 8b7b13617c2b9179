"""The pair of digits that decides a carry."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from analyses.primitives.anatomy import Anatomy
from analyses.primitives.offset_copy import answer_place
from analyses.primitives.primitive import Primitive, Uses
from tasks import Batch, Task
from tasks.arithmetic import CarryOnly, ReverseAdd
from tasks.arithmetic.digits import DIGITS


@dataclass(frozen=True)
class Carry(Primitive):
    """Where a digit of the sum is predicted: reads the pair of digits before it, which decides the carry.

        tokens       [reverse_add]  7  6  5  +  9  8  4  =  6  5  0  1
        the 6             .         x  .  .  .  x  .  .  .  .

    Numbers stand least significant digit first. It yields the carry in `carry_only`, and no token of its own in
    `reverse_add`, where the carry is a part of the digit. A pair whose sum is 9 passes an earlier carry on; such places
    are left out.
    Source: Extrapolation by Association, section 3 (arithmetic).
    """

    name = "carry"
    summary = "the answer reads the pair of digits before its own, which decides the carry"
    trades = "reverse_add and carry_only"

    def serves(self, task: Task) -> bool:
        return isinstance(task, (ReverseAdd, CarryOnly))

    def find(self, task: Task, batch: Batch) -> Uses:
        parts = Anatomy.of(task, batch)
        pair, inside, values = _pairs(task, parts)
        applies = batch.predicting & inside & (values.sum(dim=-1) != 9)
        source = parts.at(pair[..., 0]) | parts.at(pair[..., 1])
        return Uses.of(applies, source, batch.tokens[:, 1:] if isinstance(task, CarryOnly) else None)

    def contents(self, task: Task, batch: Batch, uses: Uses) -> Int[Tensor, " use"]:
        """The pair of digits."""
        *_, values = _pairs(task, Anatomy.of(task, batch))
        return (values[..., 0] * 10 + values[..., 1])[uses.applies]

    def renamed(self, task: Task, maps: Int[Tensor, "draw vocab"]) -> Int[Tensor, "draw content"]:
        """The carry of each pair, were the digits renamed among themselves."""
        ids = _digits(task).to(maps.device)
        digits = maps[:, ids].argsort(dim=1)  # how the maps order them is a permutation as random as they are
        carried = digits[:, :, None] + digits[:, None] >= 10
        return torch.where(carried, ids[1], ids[0]).flatten(1)


def _pairs(
    task: Task, parts: Anatomy
) -> tuple[Int[Tensor, "batch input 2"], Bool[Tensor, "batch input"], Int[Tensor, "batch input 2"]]:
    """Where the pair before each predicted digit stands, whether there is one, and its digits."""
    tokens = parts.tokens
    first = parts.symbols.int().argmax(dim=1, keepdim=True)
    sign = (tokens == task.vocabulary.index["+"]).int().argmax(dim=1, keepdim=True)
    before = answer_place(parts) - 1
    pair = torch.stack((first + before, sign + 1 + before), dim=-1)
    behind = first + parts.symbols.sum(dim=1, keepdim=True)
    inside = (before >= 0) & (pair[..., 0] < sign) & (pair[..., 1] < behind)
    digits = torch.zeros(len(task.vocabulary), dtype=torch.int64, device=tokens.device)
    digits[_digits(task).to(tokens.device)] = torch.arange(10, device=tokens.device)
    return pair, inside, digits[tokens].gather(1, pair.clamp(0, tokens.shape[1] - 1).flatten(1)).view_as(pair)


def _digits(task: Task) -> Int[Tensor, " digit"]:
    return task.vocabulary.ids(DIGITS)
