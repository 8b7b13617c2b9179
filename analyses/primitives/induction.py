"""What followed the same token before."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from analyses.primitives.anatomy import Anatomy
from analyses.primitives.primitive import Primitive, Uses
from analyses.primitives.renaming import Renaming
from tasks import Batch, Task
from tasks.strings import Mqar


@dataclass(frozen=True)
class Induction(Primitive):
    """Reads the place behind an earlier occurrence of the same token, and yields the token there.

        tokens          [mqar]  q  W  e  =  q  W
        the second q       .    .  x  .  .  .

    It applies where a scored token is predicted, every earlier occurrence is followed by the same token, and that is
    the right one. In `mqar` with queries of two letters it reads behind the second. Where an answer repeats the prompt
    in order (`copy`), the place behind the earlier occurrence is also a fixed distance back, and this primitive could
    not be told from `offset_copy`: it is for `mqar` alone.
    Source: the name and the rule of Olsson et al. 2022, In-context Learning and Induction Heads.
    """

    name = "induction"
    summary = "a predicting position reads behind an earlier occurrence of its token, and yields what stands there"
    trades = "mqar"

    def serves(self, task: Task) -> bool:
        return isinstance(task, Mqar)

    def find(self, task: Task, batch: Batch) -> Uses:
        parts = Anatomy.of(task, batch)
        tokens = parts.tokens
        before = torch.nn.functional.pad(tokens[:, :-1], (1, 0), value=-1)
        source = (before[:, None] == tokens[..., None]) & parts.visible & ~parts.own
        target = batch.tokens[:, 1:]
        right = source & (tokens[:, None] == target[..., None])
        applies = batch.predicting & source.any(dim=-1) & (right == source).all(dim=-1)
        return Uses.of(applies, source, target)

    def renaming(self, task: Task, batch: Batch, uses: Uses, maps: Int[Tensor, "draw vocab"]) -> Renaming:
        """It reads behind the renamed query's token instead of the query's own."""
        parts = Anatomy.of(task, batch)
        before = torch.nn.functional.pad(parts.tokens[:, :-1], (1, 0), value=-1)
        allowed = (~parts.own).expand_as(uses.source)
        return Renaming.of_equal(parts.tokens, before, allowed, applies=uses.applies, maps=maps)
