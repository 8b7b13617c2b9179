"""Sorting a sequence of numbers, and the first step of it, the smallest element.

    tokens   [sort]  [5] [3] [9]  =  [3] [5] [9] [EOS]
    scored      .     .   .   .   .   x   x   x    x

Source: Task Hinting, sections 1 and 4 (sorting); the smallest element is what the paper's model computes at `=`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from tasks.ragged import Ragged
from tasks.sorting.numbers import NumberTask, heads, only, pick


@dataclass(frozen=True)
class Sort(NumberTask):
    """The elements, smallest first, repeats kept: `[5][3][9]=` -> `[3][5][9]`."""

    name = "sort"
    summary = "[5][3][9]= -> [3][5][9]: the elements in order, smallest first"

    def answers(self, prompts: Ragged) -> Ragged:
        return Ragged(ranked(self.sequence(prompts), behind=self.numbers), prompts.lengths - 1)

    def solve(self, prompt: str) -> str:
        (pieces,) = self._parts(prompt, 1)
        return "".join(f"[{number}]" for number in sorted(self._elements(pieces)))


@dataclass(frozen=True)
class Min(NumberTask):
    """The smallest element: `[5][3][9]=` -> `[3]`."""

    name = "min"
    summary = "[5][3][9]= -> [3]: the smallest element"

    def answers(self, prompts: Ragged) -> Ragged:
        sequence = self.sequence(prompts)
        least = torch.where(sequence.counted, sequence.values, self.numbers).amin(dim=1, keepdim=True)
        return Ragged(least, torch.ones_like(prompts.lengths))

    def vary(self, prompts: Ragged, *, generator: Generator) -> Ragged:
        """Either any element becomes a number below the smallest, or all that equal the smallest become a larger one.

        Each half of the time where both change one symbol; else the one that does; all of the smallest must change
        where they are several and no number is below them.
        """
        sequence, least = self.sequence(prompts), self.answers(prompts).values
        smallest = sequence.counted & (sequence.values == least)
        downwards = (smallest.sum(dim=1, keepdim=True) > 1) | heads(prompts, generator=generator)
        downwards &= least > 0
        anywhere = only(pick(sequence.counted, generator=generator), like=prompts.values)
        numbers = self.all_numbers(prompts)
        places = torch.where(downwards, anywhere, smallest)
        allowed = torch.where(downwards, numbers < least, numbers > least)
        return self.replaced(prompts, places, allowed, generator)

    def solve(self, prompt: str) -> str:
        (pieces,) = self._parts(prompt, 1)
        return f"[{min(self._elements(pieces))}]"


def ranked(sequence: Ragged, *, behind: int) -> Int[Tensor, "batch pos"]:
    """The elements of each row in order, smallest first; `behind`, larger than all, fills the rest."""
    return torch.where(sequence.counted, sequence.values, behind).sort(dim=1).values
