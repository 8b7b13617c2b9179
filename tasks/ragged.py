"""Rows of different lengths in one block, and how an example is laid out from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths: row i counts up to `lengths[i]`; what stands behind are symbols that no one reads."""

    values: Int[Tensor, "batch pos"]
    lengths: Int[Tensor, " batch"]

    def __getitem__(self, rows: Int[Tensor, " row"] | Bool[Tensor, " batch"] | slice) -> "Ragged":
        return Ragged(self.values[rows], self.lengths[rows])

    @property
    def counted(self) -> Bool[Tensor, "batch pos"]:
        """True where a symbol belongs to its row."""
        return torch.arange(self.values.shape[1], device=self.values.device) < self.lengths[:, None]

    def repeat(self, times: int) -> "Ragged":
        """All rows, then all of them again, and so on."""
        return Ragged(self.values.repeat(times, 1), self.lengths.repeat(times))

    def put(self, rows: Int[Tensor, " row"], other: "Ragged") -> "Ragged":
        """The same rows, with those of the given numbers replaced, in place unless the others are wider."""
        wider = max(0, other.values.shape[1] - self.values.shape[1])
        values = torch.nn.functional.pad(self.values, (0, wider)) if wider else self.values
        values[rows, : other.values.shape[1]] = other.values
        self.lengths[rows] = other.lengths
        return Ragged(values, self.lengths)


@dataclass(frozen=True)
class Layout:
    """An example in two parts, and which symbols of the second are scored.

    Attributes:
        prompt: What is given first; ends with the example's first `=`.
        body: What follows it, up to [EOS].
        scored: True for the symbols of the body that are predicted and counted.
    """

    prompt: Ragged
    body: Ragged
    scored: Bool[Tensor, "batch body"]


def values_at(values: Int[Tensor, "batch pos"], places: Int[Tensor, "batch place"]) -> Int[Tensor, "batch place"]:
    """The values at given places of each row; at places outside the block, any value of the row."""
    return values.gather(1, places.clamp(0, values.shape[1] - 1))


def last_of(mask: Bool[Tensor, "batch pos"]) -> Int[Tensor, "batch pos"]:
    """For every place, the nearest place at or before it where the mask is True; -1 if there is none."""
    places = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, places, -1).cummax(dim=1).values


def concatenate(pieces: Sequence[Ragged]) -> Ragged:
    """The rows of several blocks, one behind the other."""
    first = pieces[0]
    total = torch.stack([piece.lengths for piece in pieces]).sum(dim=0)
    width = sum(piece.values.shape[1] for piece in pieces)
    joined = first.values.new_zeros((len(total), width + 1))  # the last column takes what no one reads
    start = torch.zeros_like(total)
    for piece in pieces:
        places = start[:, None] + torch.arange(piece.values.shape[1], device=start.device)
        joined.scatter_(1, torch.where(piece.counted, places, width), piece.values)
        start = start + piece.lengths
    return Ragged(joined[:, :width], total)
