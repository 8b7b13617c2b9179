"""How many elements of a sequence equal one of them, or are smaller or larger: a hint for sorting that helps little.

    tokens   [count]  [5] [3] [5]  ,  [5]  =  [2] [EOS]
    scored      .      .   .   .   .   .   .   x    x

Source: Task Hinting, section 4 (count); that the number is one of the elements is our reading.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from tasks.errors import InvalidValueError
from tasks.frame import END
from tasks.ragged import Ragged
from tasks.sorting.numbers import SEPARATOR, QueryTask, only, pick

Relation = Literal["equal", "smaller", "larger"]
"""Which elements are counted: those that equal the number asked about, or are smaller, or larger than it."""

_HOLDS: dict[Relation, Callable[[Tensor, Tensor], Tensor]] = {
    "equal": torch.eq,
    "smaller": torch.lt,
    "larger": torch.gt,
}


@dataclass(frozen=True)
class Count(QueryTask):
    """How many elements equal the number asked about, or are smaller or larger: `[5][3][5],[5]=` -> `[2]`.

    The number asked about is that of a uniformly chosen place of the sequence. The answer is one token, `[0]` to that
    of the greatest length.

    Attributes:
        relation: Which elements are counted (`Relation`).

    Raises:
        InvalidValueError: No relation has that name, or equal elements are to be counted where all are distinct.
    """

    relation: Relation = "equal"

    name = "count"
    min_length = 2
    summary = "[5][3][5],[5]= -> [2]: how many elements equal a number, or are smaller or larger"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.relation not in get_args(Relation):
            allowed = " or ".join(repr(relation) for relation in get_args(Relation))
            raise InvalidValueError(f"relation {self.relation!r} is not possible for 'count'; allowed is {allowed}")
        if self.relation == "equal" and self.elements == "distinct":
            raise InvalidValueError(
                "relation 'equal' is not possible for 'count' with distinct elements: every answer would be [1]; "
                "allowed is 'smaller' or 'larger', or elements 'any'"
            )

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*self.replaceable, "[0]", SEPARATOR, END)

    @property
    def max_length(self) -> int:
        return self.numbers

    def prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        sequences = self.drawn(lengths, generator=generator)
        place = pick(Ragged(sequences, lengths).counted, generator=generator)
        return self.with_tail(sequences, lengths, SEPARATOR, sequences.gather(1, place), END)

    def answers(self, prompts: Ragged) -> Ragged:
        sequence = self.sequence(prompts)
        counts = (sequence.counted & _HOLDS[self.relation](sequence.values, self.query(prompts))).sum(dim=1)
        # The number n has the value n - 1, and [0] follows the greatest number.
        return Ragged(((counts - 1) % (self.numbers + 1))[:, None], torch.ones_like(prompts.lengths))

    def prompt_space(self, length: int) -> int:
        if self.elements == "distinct":
            return super().prompt_space(length) * length
        return self.numbers * (self.numbers**length - (self.numbers - 1) ** length)

    def vary_element(self, prompts: Ragged, *, generator: Generator) -> Ragged:
        """An element that is counted becomes one that is not, or the reverse."""
        holds, query = _HOLDS[self.relation], self.query(prompts)
        place = pick(self.sequence(prompts).counted, generator=generator)
        counted = holds(prompts.values.gather(1, place), query)
        allowed = holds(self.all_numbers(prompts), query) != counted
        return self.replaced(prompts, only(place, like=prompts.values), allowed, generator)

    def solve(self, prompt: str) -> str:
        elements, query = self._elements_and_query(prompt)
        self.check_length(len(elements))
        if self.relation == "equal":
            return f"[{elements.count(query)}]"
        if self.relation == "smaller":
            return f"[{len([number for number in elements if number < query])}]"
        return f"[{len([number for number in elements if number > query])}]"
