"""Examples of several lengths side by side in rows of one length, so that hardly anything is computed for filling."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from tasks import Batch


class Rows(NamedTuple):
    """What the blocks have to know of packed rows.

    Attributes:
        positions: Each token's place in its own example.
        mask: What is added to the attention logits of query and key.
        turns: What turns queries and keys at these positions, if they are rotary (`rotary.turn`).
    """

    positions: Int[Tensor, "row pos"]
    mask: Float[Tensor, "row 1 pos pos"]
    turns: Complex[Tensor, "row pos 1 half"] | Float[Tensor, "row pos 1 half 2"] | None


@dataclass(frozen=True, eq=False)
class Packed:
    """The examples of a batch, several in a row; each attends to itself only and counts its positions from 0.

        tokens      [shift]  a  b  =  b  [copy]  c  =
        positions      0     1  2  3  4    0     1  2
        predicting     .     .  .  ^  ^    .     .  ^      here 3, 4 and 7

    Attributes:
        batch: The examples that were packed.
        tokens: Token ids; 0 where nothing stands.
        positions: Each token's place in its own example; 0 where nothing stands.
        predicting: Where the predicting positions of the batch went, in its order, counted through all rows.
    """

    batch: Batch
    tokens: Int[Tensor, "row pos"]
    positions: Int[Tensor, "row pos"]
    predicting: Int[Tensor, " scored"]

    def to(self, device: torch.device) -> "Packed":
        """The same rows on a device. The batch they were packed from stays where it is: only hooked passes read it."""
        moved = (part.to(device, non_blocking=True) for part in (self.tokens, self.positions, self.predicting))
        return Packed(self.batch, *moved)

    def pin_memory(self) -> "Packed":
        """The same rows in memory that a GPU can read while the processor goes on."""
        return Packed(self.batch, *(part.pin_memory() for part in (self.tokens, self.positions, self.predicting)))

    def mask(self) -> Float[Tensor, "row 1 pos pos"]:
        """What is added to the attention logits of query and key: 0 within an example and back, else -infinity."""
        place = torch.arange(self.positions.shape[1], device=self.positions.device)
        first = (place - self.positions)[:, None, :, None]
        visible = (place <= place[:, None]) & (place >= first)
        return torch.zeros(visible.shape, device=place.device).masked_fill_(~visible, -torch.inf)


def pack(batch: Batch, *, multiples: tuple[int, int] = (1, 1)) -> Packed:
    """Packs a batch, each example up to its last predicting position, into few rows as long as the longest.

    Args:
        batch: The examples.
        multiples: What the number of rows and their length are multiples of.
    """
    width = batch.predicting.long().cumsum(dim=1).argmax(dim=1) + 1
    length = _up_to(int(width.max()), multiple=multiples[1])
    starts, rows = _best_fit(width.tolist(), length)
    rows = _up_to(rows, multiple=multiples[0])
    position = torch.arange(batch.inputs.shape[1], device=width.device)
    exists = position < width[:, None]
    places = torch.tensor(starts, device=width.device)[:, None] + position

    def laid(values: Tensor) -> Tensor:
        return values.new_zeros(rows * length).index_copy_(0, places[exists], values[exists]).view(rows, length)

    return Packed(batch, laid(batch.inputs), laid(position.expand_as(exists)), places[batch.predicting])


def _up_to(number: int, *, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _best_fit(widths: list[int], length: int) -> tuple[list[int], int]:
    """Each example's first place, counted through all rows, and the number of rows.

    From the widest on, each goes into the row with the least space that is enough, or into a new one.
    """
    starts, rows = [0] * len(widths), 0
    ends: list[list[int]] = [[] for _ in range(length + 1)]  # where rows are filled up to, by the space they have left
    for example in sorted(range(len(widths)), key=widths.__getitem__, reverse=True):
        width = widths[example]
        space = next((space for space in range(width, length + 1) if ends[space]), None)
        if space is None:
            start, space, rows = rows * length, length, rows + 1
        else:
            start = ends[space].pop()
        starts[example] = start
        ends[space - width].append(start + width)
    return starts, rows
