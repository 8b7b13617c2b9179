"""Sets of positions in a sequence, and how tensors are indexed by them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tasks import InvalidValueError


@dataclass(frozen=True)
class Places:
    """Some positions, in rising order.

    Attributes:
        positions: The positions.
    """

    positions: tuple[int, ...]

    def __post_init__(self) -> None:
        if any(one >= other for one, other in zip(self.positions, self.positions[1:], strict=False)):
            raise InvalidValueError(
                f"positions {self.positions} do not rise; use Places.of(...), which sorts them and drops repeated ones"
            )

    @classmethod
    def of(cls, positions: Iterable[int]) -> "Places":
        """Some positions, in any order, each perhaps named several times."""
        return cls(tuple(sorted(set(positions))))

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def first(self) -> int:
        """The first of them."""
        return self.positions[0]

    @cached_property
    def contiguous(self) -> bool:
        """Whether they are all positions between the first and the last."""
        return not self.positions or self.positions[-1] - self.positions[0] + 1 == len(self)

    def index(self, device: torch.device) -> slice | Tensor:
        """What selects them from an axis of all positions: a slice if that will do."""
        if self.contiguous:
            return slice(self.positions[0], self.positions[-1] + 1) if self.positions else slice(0, 0)
        return torch.tensor(self.positions, device=device)

    def inside(self, other: "Places", device: torch.device) -> slice | Tensor:
        """What selects them from an axis of the other places, which hold them all."""
        if self.contiguous and other.contiguous and self.positions:
            start = self.first - other.first
            return slice(start, start + len(self))
        where = {position: place for place, position in enumerate(other.positions)}
        return Places(tuple(where[position] for position in self.positions)).index(device)

    def covers(self, other: "Places") -> bool:
        """Whether they hold all of the other places."""
        return self is other or set(self.positions) >= set(other.positions)

    def __or__(self, other: "Places") -> "Places":
        return self if self.covers(other) else Places.of(self.positions + other.positions)

    def __and__(self, other: "Places") -> "Places":
        if other.covers(self):
            return self
        there = set(other.positions)
        return Places(tuple(position for position in self.positions if position in there))

    def tensor(self, device: torch.device) -> Tensor:
        """The positions as int64."""
        return torch.tensor(self.positions, device=device)
