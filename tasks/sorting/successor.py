"""The next larger element of a sequence: the hint that helps sorting.

    tokens   [successor]  [5] [3] [9]  ,  [5]  =  [9] [EOS]
    scored        .        .   .   .   .   .   .   x    x

Source: Task Hinting, sections 1 and 4 (successor).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.errors import InvalidValueError
from tasks.frame import END
from tasks.ragged import Ragged
from tasks.sorting.numbers import SEPARATOR, QueryTask, heads, only, pick


@dataclass(frozen=True)
class Successor(QueryTask):
    """The smallest element that is larger than the one asked about: `[5][3][9],[5]=` -> `[9]`.

    Sequences are uniform over those with two different elements or more, the query over the places of all elements but
    the largest: a number that stands twice is asked about twice as often.
    """

    name = "successor"
    summary = "[5][3][9],[5]= -> [9]: the next larger element"
    min_length = 2

    def prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        sequences = self.drawn(lengths, generator=generator)
        smaller = _below_the_largest(sequences, lengths)
        while len(same := (~smaller.any(dim=1)).nonzero()[:, 0]):  # all elements are the same: drawn anew
            again = self.drawn(lengths[same], generator=generator)
            sequences[same, : again.shape[1]] = again
            smaller[same] = _below_the_largest(sequences[same], lengths[same])
        place = pick(smaller, generator=generator)
        return self.with_tail(sequences, lengths, SEPARATOR, sequences.gather(1, place), END)

    def answers(self, prompts: Ragged) -> Ragged:
        sequence = self.sequence(prompts)
        larger = sequence.counted & (sequence.values > self.query(prompts))
        following = torch.where(larger, sequence.values, self.numbers).amin(dim=1, keepdim=True)
        return Ragged(following, torch.ones_like(prompts.lengths))

    def prompt_space(self, length: int) -> int:
        if self.elements == "distinct":
            return super().prompt_space(length) * (length - 1)
        # Pairs of a sequence and a number in it, less those whose number is the largest element, one per sequence.
        return self.numbers * (self.numbers**length - (self.numbers - 1) ** length) - self.numbers**length

    def vary_element(self, prompts: Ragged, *, generator: Generator) -> Ragged:
        """Any element becomes a number between query and answer, or the answer's becomes another above the query.

        Each half of the time where there is a number between, else the second.
        """
        sequence, query, answer = self.sequence(prompts), self.query(prompts), self.answers(prompts).values
        numbers = self.all_numbers(prompts)
        between = (numbers > query) & (numbers < answer)
        inserts = heads(prompts, generator=generator) & between.any(dim=1, keepdim=True)
        places = sequence.counted & (inserts | (sequence.values == answer))
        allowed = torch.where(inserts, between, (numbers > query) & (numbers != answer))
        place = only(pick(places, generator=generator), like=prompts.values)
        return self.replaced(prompts, place, allowed, generator)

    def keeps(self, prompts: Ragged, changed: Ragged, *, change: str) -> Bool[Tensor, " batch"]:
        has_next = self.answers(changed).values[:, 0] < self.numbers
        return has_next & super().keeps(prompts, changed, change=change)

    def solve(self, prompt: str) -> str:
        elements, query = self._elements_and_query(prompt)
        larger = [number for number in elements if number > query]
        if not larger:
            raise InvalidValueError(
                f"[{query}] is the largest element in {prompt!r}; 'successor' asks about one that has a larger one"
            )
        return f"[{min(larger)}]"


def _below_the_largest(
    sequences: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]
) -> Bool[Tensor, "batch pos"]:
    """Which elements of each row are smaller than its largest."""
    counted = Ragged(sequences, lengths).counted
    return counted & (sequences < torch.where(counted, sequences, -1).amax(dim=1, keepdim=True))
