"""What the tasks on sequences of numbers share: the numbers, how sequences are drawn, read and changed.

A number is one token, `[1]` to `[100]`, and its value in the block is the number less one, so that the order of the
values is the order of the numbers.
"""

import math
import re
from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.errors import InvalidValueError
from tasks.frame import END
from tasks.ragged import Ragged
from tasks.task import Task

Elements = Literal["any", "distinct"]
"""`any`: the elements of a sequence are drawn independently and may repeat; `distinct`: no number stands twice."""

SEPARATOR = ","
"""The symbol between the sequence and what is asked about it."""

_BELOW = 2**53
"""Integers below this, modulo at most 1,000, are uniform to one part in 10**13."""


@dataclass(frozen=True)
class NumberTask(Task):
    """A task on a sequence of numbers, uniform over all sequences of its length.

    Length is the number of elements of the sequence.

    Attributes:
        numbers: How many numbers there are, from `[1]`: 2 to 1000.
        elements: Whether numbers may repeat in a sequence (`Elements`).

    Raises:
        InvalidValueError: Numbers outside 2..1000, or another word for the elements.
    """

    numbers: int = 100
    elements: Elements = "any"

    form: ClassVar[str] = "[2][1]="
    """A prompt that is one with any parameters, for the texts of errors."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.numbers, int) or not 2 <= self.numbers <= 1000:
            raise InvalidValueError(
                f"numbers {self.numbers!r} is not possible for {self.name!r}; allowed are 2 to 1000"
            )
        if self.elements not in get_args(Elements):
            allowed = " or ".join(repr(word) for word in get_args(Elements))
            raise InvalidValueError(
                f"elements {self.elements!r} is not possible for {self.name!r}; allowed is {allowed}"
            )

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*self.replaceable, END)

    @property
    def replaceable(self) -> tuple[str, ...]:
        return tuple(f"[{number}]" for number in range(1, self.numbers + 1))

    @property
    def max_length(self) -> int:
        return self.numbers if self.elements == "distinct" else super().max_length

    def check_length(self, length: int) -> None:
        if self.elements == "distinct" and length > self.numbers:
            raise InvalidValueError(
                f"length {length} is not possible for task {self.name!r} with distinct elements: there are "
                f"{self.numbers} numbers; allowed are {self.min_length} to {self.max_length}"
            )
        super().check_length(length)

    def prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        return self.with_tail(self.drawn(lengths, generator=generator), lengths, END)

    def prompt_space(self, length: int) -> int:
        return math.perm(self.numbers, length) if self.elements == "distinct" else self.numbers**length

    def sequence(self, prompts: Ragged) -> Ragged:
        """The sequence that each prompt begins with."""
        return Ragged(prompts.values, prompts.lengths - 1)

    def drawn(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Int[Tensor, "batch pos"]:
        """Random sequences as wide as the longest; every first part of a row is as uniform as the whole row."""
        width = int(lengths.max())
        if self.elements == "distinct":
            return _distinct(len(lengths), width, numbers=self.numbers, generator=generator)
        return torch.randint(self.numbers, (len(lengths), width), generator=generator, device=generator.device)

    def with_tail(
        self, sequences: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"], *tail: str | Int[Tensor, "batch 1"]
    ) -> Ragged:
        """The sequences, each followed at once by some symbols: the same for all rows, or given by their numbers."""
        columns = [self.symbols.index(part) if isinstance(part, str) else part for part in tail]
        behind = torch.cat([torch.zeros_like(lengths)[:, None] + column for column in columns], dim=1)
        values = torch.nn.functional.pad(sequences, (0, len(tail)))
        places = lengths[:, None] + torch.arange(len(tail), device=lengths.device)
        return Ragged(values.scatter(1, places, behind), lengths + len(tail))

    def vary(self, prompts: Ragged, *, generator: Generator) -> Ragged:
        """Each prompt with one element, chosen uniformly, become another number that may stand there, uniformly."""
        place = pick(self.sequence(prompts).counted, generator=generator)
        other = self.all_numbers(prompts) != prompts.values.gather(1, place)
        return self.replaced(prompts, only(place, like=prompts.values), other, generator)

    def keeps(self, prompts: Ragged, changed: Ragged, *, change: str) -> Bool[Tensor, " batch"]:
        sequence = self.sequence(changed)
        if self.elements == "any":
            return torch.ones_like(sequence.lengths, dtype=torch.bool)
        return self._present(sequence).sum(dim=1) == sequence.lengths

    def replaced(
        self, prompts: Ragged, at: Bool[Tensor, "batch pos"], allowed: Bool[Tensor, "_ number"], generator: Generator
    ) -> Ragged:
        """The prompts with one of the allowed numbers, drawn uniformly, at all the given places.

        Distinct elements stay so: a number that the sequence has already is not drawn. Where no allowed number is left,
        any other is drawn, and where none of these is left either, the change is for `keeps` to refuse.
        """
        new = torch.ones_like(allowed)
        if self.elements == "distinct":
            new = ~self._present(self.sequence(prompts))
        number = pick(new, allowed & new, generator=generator)
        return Ragged(torch.where(at, number, prompts.values), prompts.lengths)

    def all_numbers(self, prompts: Ragged) -> Int[Tensor, "1 number"]:
        """Every number there is, as a row."""
        return torch.arange(self.numbers, device=prompts.values.device)[None]

    def _present(self, sequence: Ragged) -> Bool[Tensor, "batch number"]:
        """Which numbers stand in each sequence."""
        counted = sequence.counted
        present = torch.zeros((len(counted), self.numbers + 1), dtype=torch.bool, device=counted.device)
        present.scatter_(1, torch.where(counted, sequence.values, self.numbers), value=True)
        return present[:, : self.numbers]

    def _parts(self, prompt: str, count: int) -> list[list[str]]:
        """The pieces between the commas of a prompt, which must be so many parts, none of them empty."""
        parts = [re.findall(r"\[[^\[\]]*\]|.", part, re.DOTALL) for part in prompt.removesuffix("=").split(",")]
        if not prompt.endswith("=") or len(parts) != count or not all(parts):
            raise InvalidValueError(f"{prompt!r} is no prompt of {self.name!r}; one looks like {self.form}")
        return parts

    def _elements(self, pieces: list[str]) -> list[int]:
        """The elements of a sequence, checked."""
        for piece in pieces:
            if not re.fullmatch(r"\[[1-9][0-9]*\]", piece) or int(piece[1:-1]) > self.numbers:
                raise InvalidValueError(
                    f"{piece!r} is not a number of {self.name!r}; its numbers are [1] to [{self.numbers}]"
                )
        (most, times), *_ = Counter(pieces).most_common(1)
        if self.elements == "distinct" and times > 1:
            raise InvalidValueError(
                f"{most} stands {times} times in {''.join(pieces)}; with distinct elements a number may stand once"
            )
        return [int(piece[1:-1]) for piece in pieces]


@dataclass(frozen=True)
class QueryTask(NumberTask):
    """A task that asks about one element of a sequence: the sequence, a comma, a number that stands in it, `=`."""

    form = "[2][1],[1]="

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*self.replaceable, SEPARATOR, END)

    def sequence(self, prompts: Ragged) -> Ragged:
        return Ragged(prompts.values, prompts.lengths - 3)

    def query(self, prompts: Ragged) -> Int[Tensor, "batch 1"]:
        """The number that each prompt asks about."""
        return prompts.values.gather(1, prompts.lengths[:, None] - 2)

    def vary(self, prompts: Ragged, *, generator: Generator) -> Ragged:
        """Half of the prompts with another element as the query, half with an element changed."""
        sequence, query = self.sequence(prompts), self.query(prompts)
        others = sequence.counted & (sequence.values != query)
        asked = sequence.values.gather(1, pick(others, generator=generator))
        requeried = prompts.values.scatter(1, prompts.lengths[:, None] - 2, asked)
        rewritten = self.vary_element(prompts, generator=generator).values
        return Ragged(torch.where(heads(prompts, generator=generator), requeried, rewritten), prompts.lengths)

    @abstractmethod
    def vary_element(self, prompts: Ragged, *, generator: Generator) -> Ragged:
        """Each prompt with an element changed so that, where possible, the answer to the same query is another."""

    def keeps(self, prompts: Ragged, changed: Ragged, *, change: str) -> Bool[Tensor, " batch"]:
        sequence = self.sequence(changed)
        asked = (sequence.counted & (sequence.values == self.query(changed))).any(dim=1)
        return asked & super().keeps(prompts, changed, change=change)

    def _elements_and_query(self, prompt: str) -> tuple[list[int], int]:
        """The sequence and the number asked about, checked, for `solve`."""
        sequence, asked = self._parts(prompt, 2)
        elements = self._elements(sequence)
        if len(asked) != 1:
            raise InvalidValueError(f"{prompt!r} asks about {len(asked)} numbers; allowed is one: {self.form}")
        (query,) = self._elements(asked)
        if query not in elements:
            raise InvalidValueError(
                f"[{query}] is not an element of {''.join(sequence)}; {self.name!r} asks about one that is"
            )
        return elements, query


def pick(*choices: Bool[Tensor, "batch choice"], generator: Generator) -> Int[Tensor, "batch 1"]:
    """One place of each row, uniformly among those where the most of the given blocks are True."""
    weights = torch.rand(choices[0].shape, generator=generator, device=choices[0].device)
    for block in choices:
        weights = weights + block
    return weights.argmax(dim=1, keepdim=True)


def heads(prompts: Ragged, *, generator: Generator) -> Bool[Tensor, "batch 1"]:
    """A fair coin for each row."""
    return torch.rand((len(prompts.lengths), 1), generator=generator, device=prompts.lengths.device) < 0.5


def only(place: Int[Tensor, "batch 1"], *, like: Int[Tensor, "batch pos"]) -> Bool[Tensor, "batch pos"]:
    """True at one place of each row of a block as large as another."""
    return torch.arange(like.shape[1], device=like.device) == place


def _distinct(rows: int, width: int, *, numbers: int, generator: Generator) -> Int[Tensor, "batch pos"]:
    """Uniform sequences without repeats: the first steps of a Fisher-Yates shuffle, all rows at once."""
    device = generator.device
    places = torch.arange(width, device=device)[:, None]
    steps = torch.randint(_BELOW, (width, rows), generator=generator, device=device) % (numbers - places) + places
    # One column per row of the batch, so that a step reads and writes neighbours.
    order = torch.arange(numbers, device=device)[:, None].repeat(1, rows)
    drawn = torch.empty((width, rows), dtype=torch.int64, device=device)
    for place, chosen in enumerate(steps.split(1)):
        drawn[place] = order.gather(0, chosen)[0]
        # What stood here moves to where the drawn number stood; this place is not looked at again.
        order.scatter_(0, chosen, order[place : place + 1].clone())
    return drawn.T.contiguous()
