"""A model whose circuit is known, since it was written by hand."""

from collections.abc import Mapping
from dataclasses import dataclass

from analyses.heads import Head
from tasks import Task
from training import HookedTransformer


@dataclass(frozen=True)
class KnownCircuit:
    """A model with weights set by hand, and which of its heads implement what.

    Every head that is not named is idle: its query, key and value weights are random, and it writes to coordinates that
    nothing reads.

    Attributes:
        name: By which `get_circuit` builds it.
        model: The model, in float32; `model.double()` holds the same weights.
        task: The task that it solves, with its parameters.
        lengths: The lengths at which it solves every example of the test stream.
        heads: Each primitive's name, and the heads that implement it. Two names are not primitives of
            `analyses.primitives`: a `delimiter` head finds a symbol of the prompt, so at one length it writes the same
            for every example, and `mean` ablation at that length leaves it as it was; a `digit_pair` head reads the
            digit of the other operand.
        source: Where the construction comes from.
    """

    name: str
    model: HookedTransformer
    task: Task
    lengths: tuple[int, ...]
    heads: Mapping[str, tuple[Head, ...]]
    source: str

    @property
    def named(self) -> frozenset[Head]:
        """All heads that implement something."""
        return frozenset(head for heads in self.heads.values() for head in heads)
