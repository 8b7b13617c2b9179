"""The smallest element, at the end of the input."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from analyses.primitives.anatomy import Anatomy, number_ranks, seen_values
from analyses.primitives.primitive import Primitive, Uses
from analyses.primitives.renaming import Renaming, next_ranked
from tasks import Batch, Task
from tasks.sorting import Min, Sort


@dataclass(frozen=True)
class Minimum(Primitive):
    """At the end of the input: reads the smallest element of the sequence, wherever it stands, and yields it.

        tokens     [sort]  [5] [3] [9]  =
        the `=`       .     .   x   .   .

    Source: Task Hinting, on trained sorters: the first attention layer takes the minimum at the end-of-input token.
    """

    name = "min"
    summary = "the end of the input reads the smallest element, and yields it"
    trades = "sort and min"

    def serves(self, task: Task) -> bool:
        return isinstance(task, (Sort, Min))

    def find(self, task: Task, batch: Batch) -> Uses:
        parts = Anatomy.of(task, batch)
        least = parts.least
        source = parts.sequence[:, None] & (parts.values[:, None] == least[..., None])
        return Uses.of(
            parts.end, source, task.vocabulary.ids(task.replaceable).to(least.device)[least.clamp(max=parts.none - 1)]
        )

    def renaming(self, task: Task, batch: Batch, uses: Uses, maps: Int[Tensor, "draw vocab"]) -> Renaming:
        """It reads the element that is the smallest in the order of the renamed numbers."""
        parts = Anatomy.of(task, batch)
        ranks, values = number_ranks(task, maps.to(parts.values.device)), seen_values(parts, uses.applies)
        above = torch.full((len(ranks), len(values)), -1, device=ranks.device)
        chosen = next_ranked(ranks, values, above=above)[None]
        case = torch.arange(len(values), device=ranks.device)
        return Renaming(parts.values, parts.sequence[:, None].expand_as(uses.source), case, chosen)
