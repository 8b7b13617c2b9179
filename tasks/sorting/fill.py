"""Filling the gaps of a sorted sequence: a hint for sorting that helps little.

    tokens   [fill]  [5] [3] [9]  ,  [3]  _   _   =  [5] [9] [EOS]
    scored      .     .   .   .   .   .   .   .   .   x   x    x

Source: Task Hinting, section 4 (fill). "Complete a sorted sequence with gaps" is all that is known of the paper's
layout; this one is our reading.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.errors import InvalidValueError
from tasks.frame import END
from tasks.ragged import Ragged, last_of
from tasks.sorting.numbers import SEPARATOR, NumberTask, heads, only, pick
from tasks.sorting.sort import ranked

GAP = "_"
"""Stands for a hidden element."""


@dataclass(frozen=True)
class Fill(NumberTask):
    """The elements that are hidden in the sorted sequence, smallest first: `[5][3][9],[3]__=` -> `[5][9]`.

    Each place of the sorted sequence is hidden with probability 1/2, given that at least one is.
    """

    name = "fill"
    summary = "[5][3][9],[3]__= -> [5][9]: the gaps of the sorted sequence filled"
    form = "[2][1],[1]_="

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*self.replaceable, GAP, SEPARATOR, END)

    def prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        sequences = Ragged(self.drawn(lengths, generator=generator), lengths)
        return self._prompts(sequences, _hidden(sequences, generator=generator))

    def answers(self, prompts: Ragged) -> Ragged:
        hidden = self._gaps(prompts)
        elements = ranked(self.sequence(prompts), behind=self.numbers)
        # The hidden elements move together at the front; the others, to a column that is cut off.
        width = elements.shape[1]
        places = torch.where(hidden, hidden.cumsum(dim=1) - 1, width)
        together = torch.zeros((len(elements), width + 1), dtype=torch.int64, device=elements.device)
        return Ragged(together.scatter(1, places, elements)[:, :width], hidden.sum(dim=1))

    def prompt_space(self, length: int) -> int:
        return super().prompt_space(length) * (2**length - 1)

    def sequence(self, prompts: Ragged) -> Ragged:
        longest = max(1, prompts.values.shape[1] // 2 - 1)
        return Ragged(prompts.values[:, :longest], prompts.lengths // 2 - 1)

    def vary(self, prompts: Ragged, *, generator: Generator) -> Ragged:
        """An element becomes another number, and the sorted part is written anew with the same gaps.

        The element is a hidden one, and, where this is possible, it stays between the nearest elements that are shown,
        so that nothing that is shown changes. Elsewhere one hidden element, or, half of the time, all that equal it,
        become any other number.
        """
        sequence, hidden = self.sequence(prompts), self._gaps(prompts)
        elements = ranked(sequence, behind=self.numbers)
        low, high, room = self._limits(elements, hidden, sequence.lengths)
        free = room.any(dim=1, keepdim=True)
        rank = pick(hidden, room, generator=generator)
        old, low, high = (block.gather(1, rank) for block in (elements, low, high))
        equal = sequence.counted & (sequence.values == old)
        one = only(pick(equal, generator=generator), like=sequence.values)
        places = torch.where(free | heads(prompts, generator=generator), one, equal)
        numbers = self.all_numbers(prompts)
        allowed = (numbers != old) & (~free | ((numbers >= low) & (numbers <= high)))
        # Back to the block's width, which may be more than these prompts need.
        width = prompts.values.shape[1]
        places = torch.nn.functional.pad(places, (0, width - places.shape[1]))
        changed = self._prompts(self.sequence(self.replaced(prompts, places, allowed, generator)), hidden)
        return Ragged(torch.nn.functional.pad(changed.values, (0, width - changed.values.shape[1])), changed.lengths)

    def solve(self, prompt: str) -> str:
        sequence, places = self._parts(prompt, 2)
        in_order = [f"[{number}]" for number in sorted(self._elements(sequence))]
        if len(places) != len(in_order):
            raise InvalidValueError(
                f"{prompt!r} has {len(places)} places behind the comma for {len(in_order)} elements; "
                "it must have as many"
            )
        for place, right in zip(places, in_order, strict=True):
            if place not in (right, "_"):
                raise InvalidValueError(f"{place!r} stands in the sorted part of {prompt!r} where {right} or _ must be")
        if "_" not in places:
            raise InvalidValueError(f"{prompt!r} has no gap; at least one element must be hidden by _")
        return "".join(right for place, right in zip(places, in_order, strict=True) if place == "_")

    def _prompts(self, sequences: Ragged, hidden: Bool[Tensor, "batch pos"]) -> Ragged:
        """The prompts with these sequences and, behind the comma, these gaps."""
        lengths, width = sequences.lengths[:, None], sequences.values.shape[1]
        shown = ranked(sequences, behind=self.numbers).masked_fill(hidden, self.symbols.index(GAP))
        # From left to right, so that what stands behind a shorter row is written over by what belongs there.
        values = torch.nn.functional.pad(sequences.values, (0, width + 2))
        values.scatter_(1, lengths, self.symbols.index(SEPARATOR))
        values.scatter_(1, lengths + 1 + torch.arange(width, device=values.device), shown)
        values.scatter_(1, 2 * lengths + 1, self.symbols.index(END))
        return Ragged(values, 2 * sequences.lengths + 2)

    def _gaps(self, prompts: Ragged) -> Bool[Tensor, "batch pos"]:
        """True at the places of the sorted sequence that a prompt hides."""
        sequence = self.sequence(prompts)
        ranks = torch.arange(sequence.values.shape[1], device=prompts.values.device)
        places = (sequence.lengths[:, None] + 1 + ranks).clamp(max=prompts.values.shape[1] - 1)
        return sequence.counted & (prompts.values.gather(1, places) == self.symbols.index(GAP))

    def _limits(
        self, elements: Int[Tensor, "batch pos"], hidden: Bool[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Int[Tensor, "batch pos"], Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
        """The nearest shown elements below and above each place, and whether a hidden one can move between them.

        Below the first element shown the limit is -1, above the last one the number of numbers.
        """
        width = elements.shape[1]
        shown = ~hidden & Ragged(elements, lengths).counted
        below = last_of(shown)
        above = width - 1 - last_of(shown.flip(1)).flip(1)
        low = torch.where(below < 0, -1, elements.gather(1, below.clamp(min=0)))
        high = torch.where(above == width, self.numbers, elements.gather(1, above.clamp(max=width - 1)))
        if self.elements == "distinct":
            # More numbers lie between the limits than elements do.
            spare = (high - low) - (torch.minimum(above, lengths[:, None]) - below)
        else:
            spare = high.clamp(max=self.numbers - 1) - low.clamp(min=0)
        return low, high, hidden & (spare > 0)


def _hidden(sequences: Ragged, *, generator: Generator) -> Bool[Tensor, "batch pos"]:
    """Uniform over the sets of places with at least one place in them, without a second try."""
    values, lengths = sequences.values, sequences.lengths[:, None]
    # The first hidden place is k or later with probability (2**-k - 2**-length) / (1 - 2**-length).
    quantiles = torch.rand((len(values), 1), generator=generator, device=values.device, dtype=torch.float64)
    first = (-torch.log2(1 - quantiles * (1 - 2.0**-lengths))).long().clamp(max=lengths - 1)
    ranks = torch.arange(values.shape[1], device=values.device)
    coins = torch.rand(values.shape, generator=generator, device=values.device) < 0.5
    return sequences.counted & ((ranks == first) | ((ranks > first) & coins))
