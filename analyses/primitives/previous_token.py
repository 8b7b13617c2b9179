"""The token before."""

from dataclasses import dataclass

import torch

from analyses.primitives.anatomy import Anatomy
from analyses.primitives.primitive import Primitive, Uses
from tasks import Batch, Task


@dataclass(frozen=True)
class PreviousToken(Primitive):
    """Everywhere: reads the position before. It yields no token: what it writes is for later heads to find.

    tokens     [copy]  q  W  e  =  q  W  e
    the e         .    .  x  .  .
    """

    name = "previous_token"
    summary = "every position reads the one before it; what it writes is for later heads"
    trades = "every task"

    def serves(self, task: Task) -> bool:
        return True

    def find(self, task: Task, batch: Batch) -> Uses:
        parts = Anatomy.of(task, batch)
        place = torch.arange(parts.tokens.shape[1], device=parts.tokens.device).expand_as(parts.tokens)
        read = batch.predicting.flip(1).cumsum(dim=1).flip(1) > 0
        return Uses.of(read, parts.at(place - 1), None)
