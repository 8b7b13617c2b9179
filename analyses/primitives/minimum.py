"""The smallest element, at the end of the input."""

from dataclasses import dataclass

from analyses.primitives.anatomy import Anatomy
from analyses.primitives.primitive import Primitive, Uses
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
