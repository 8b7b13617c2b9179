"""What a primitive is: where in a batch it applies, from where it reads, and which token it yields."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analyses.primitives.renaming import Renaming
from tasks import Batch, Task


@dataclass(frozen=True)
class Uses:
    """Where a primitive is used in a batch.

    Attributes:
        applies: True at the positions (queries) where it applies. There the query sees a source and something else, so
            that looking at a source says something.
        source: True at the key positions that it reads from, of those that the query sees.
        groups: The sources in groups, of which a head must read every one; all in one if the primitive says no more.
        carriers: Those sources that bring the yielded token along; all of them unless the primitive says otherwise.
        yields: The token that it yields at each position; without meaning where it does not apply. None for a
            primitive that yields no token of its own.
    """

    applies: Bool[Tensor, "batch query"]
    source: Bool[Tensor, "batch query key"]
    groups: tuple[Bool[Tensor, "batch query key"], ...]
    carriers: Bool[Tensor, "batch query key"]
    yields: Int[Tensor, "batch query"] | None

    @classmethod
    def of(
        cls,
        applies: Bool[Tensor, "batch query"],
        source: Bool[Tensor, "batch query key"] | tuple[Bool[Tensor, "batch query key"], ...],
        yields: Int[Tensor, "batch query"] | None,
        carriers: Bool[Tensor, "batch query key"] | None = None,
    ) -> "Uses":
        """The uses, less those of a query that sees no source (of one of the groups), or nothing but sources."""
        groups = source if isinstance(source, tuple) else (source,)
        width = groups[0].shape[-1]
        visible = torch.ones(width, width, dtype=torch.bool, device=applies.device).tril()
        groups = tuple(group & visible for group in groups)
        for group in groups:
            applies = applies & group.any(dim=-1)
        source = torch.stack(groups).any(dim=0)
        brought = source if carriers is None else carriers & source
        applies = applies & brought.any(dim=-1) & (visible & ~source).any(dim=-1)
        used = applies[..., None]
        return cls(applies, source & used, tuple(group & used for group in groups), brought & used, yields)

    @property
    def examples(self) -> Bool[Tensor, " batch"]:
        """The examples in which it applies somewhere."""
        return self.applies.any(dim=1)

    @property
    def weights(self) -> Float[Tensor, "batch query"]:
        """What each use counts: the same for all of an example, and as much for every example; 1 in all."""
        return self.within / max(1, int(self.examples.sum()))

    @property
    def within(self) -> Float[Tensor, "batch query"]:
        """The same within each example: 1 in all for an example that has a use."""
        applies = self.applies.double()
        return applies / applies.sum(dim=1, keepdim=True).clamp(min=1)

    def at_output(self, batch: Batch) -> bool:
        """Whether it is the output that should show the yielded token, wherever it applies.

        So it is for a primitive that yields none: all scored tokens show what it is worth.
        """
        if self.yields is None:
            return True
        right = batch.predicting & (self.yields == batch.tokens[:, 1:])
        return bool((right | ~self.applies).all())


@dataclass(frozen=True)
class Primitive(ABC):
    """One elementary step that a head may do: look at a source, and write what stands there.

    Attributes:
        name: Its name.
        summary: What it does, in one line.
        trades: In which tasks it is at home, for the texts of errors.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    trades: ClassVar[str]

    @abstractmethod
    def serves(self, task: Task) -> bool:
        """Whether it has a meaning in a task."""

    @abstractmethod
    def find(self, task: Task, batch: Batch) -> Uses:
        """Its uses in examples of a task that it serves, the task bound to the vocabulary that they are written in."""

    def contents(self, task: Task, batch: Batch, uses: Uses) -> Int[Tensor, " use"]:
        """What stands at the sources of each use, as a number; where it is the yielded token itself, that token."""
        assert uses.yields is not None
        return uses.yields[uses.applies]

    def renamed(self, task: Task, maps: Int[Tensor, "draw vocab"]) -> Int[Tensor, "draw content"]:
        """The token that each content would yield, were the task's tokens renamed."""
        return maps

    def renaming(self, task: Task, batch: Batch, uses: Uses, maps: Int[Tensor, "draw vocab"]) -> Renaming | None:
        """What each use would read, were the task's tokens renamed; None if the sources hang on positions alone."""
        return None
