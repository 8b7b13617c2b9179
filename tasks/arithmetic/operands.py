"""Prompts of two numbers: `765+98=` asks about 567 and 89, written least significant digit first.

Source: Extrapolation by Association, section 3 (arithmetic); the distribution of the operands' lengths is that of an
earlier code base of its authors.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.arithmetic.digits import DIGITS, Digits, count_numbers, draw_numbers
from tasks.errors import InvalidValueError
from tasks.ragged import Ragged, concatenate, values_at
from tasks.task import Task

SHARED = 0.75
"""Share of the replacements in counterfactuals that fall on places of which both operands have a digit."""


@dataclass(frozen=True)
class Operands:
    """The two numbers of each prompt, least significant digit first, 0 behind the most significant.

    Both blocks are as wide as the longest operand and one digit more.
    """

    first: Digits
    second: Digits
    first_length: Int[Tensor, " batch"]
    second_length: Int[Tensor, " batch"]

    @property
    def longer(self) -> Int[Tensor, " batch"]:
        """Digits of the longer operand."""
        return torch.maximum(self.first_length, self.second_length)


@dataclass(frozen=True)
class OperandTask(Task):
    """A task on two numbers.

    Length is the number of digits of the longer operand. For tests both have exactly that many; for training the two
    lengths are drawn independently and uniformly, so given the longer one, each pair of lengths is equally likely (as
    it is where another distribution draws the longer one).
    Numbers are uniform over those of their length and have no leading zeros; carries fall as they fall.

    Attributes:
        sign: What stands between the operands.
    """

    sign: ClassVar[str]
    operands: ClassVar[int] = 2

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*DIGITS, self.sign, "=")

    @property
    def replaceable(self) -> tuple[str, ...]:
        return DIGITS

    def prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        return self._write(lengths, lengths, generator)

    def training_prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        drawn = torch.rand(len(lengths), generator=generator, device=lengths.device, dtype=torch.float64)
        pair = (drawn * (2 * lengths - 1)).long()
        first = torch.where(pair < lengths, lengths, pair - lengths + 1)
        second = torch.where(pair < lengths, pair + 1, lengths)
        return self._write(first, second, generator)

    def prompt_space(self, length: int) -> int:
        return count_numbers(length) ** 2

    def read(self, prompts: Ragged) -> Operands:
        """The operands of each prompt."""
        first_length = (prompts.values == self.symbols.index(self.sign)).int().argmax(dim=1)
        second_length = prompts.lengths - first_length - 2
        width = int(torch.maximum(first_length, second_length).max()) + 1
        places = torch.arange(width, device=first_length.device)

        def number(start: Tensor, length: Tensor) -> Tensor:
            return torch.where(places < length[:, None], values_at(prompts.values, start[:, None] + places), 0)

        return Operands(
            first=number(torch.zeros_like(first_length), first_length),
            second=number(first_length + 1, second_length),
            first_length=first_length,
            second_length=second_length,
        )

    def column(self, symbol: str, *, like: Int[Tensor, " batch"]) -> Ragged:
        """One symbol in each row, for as many rows as another tensor has."""
        number = self.symbols.index(symbol)
        return Ragged(torch.full((len(like), 1), number, device=like.device), torch.ones_like(like))

    def vary(self, prompts: Ragged, *, generator: Generator) -> Ragged:
        """Each prompt with one digit replaced by another: mostly one of a place that both operands have.

        Only there a carry arises, and only there stands the one digit of a short operand that an answer may hang on;
        beside a long operand a uniform choice would hardly ever find it. Operands of one length have no other places.
        """
        values, device = prompts.values, prompts.values.device
        first = (values == self.symbols.index(self.sign)).int().argmax(dim=1, keepdim=True)
        second = prompts.lengths[:, None] - first - 2
        at = torch.arange(values.shape[1], device=device)
        place = torch.where(at > first, at - first - 1, at)
        digit = (at < first) | ((at > first) & (place < second))
        shared = torch.rand(first.shape, generator=generator, device=device) < SHARED
        possible = digit & (~shared | (place < torch.minimum(first, second)))
        weights = torch.rand(values.shape, generator=generator, device=device)
        chosen = torch.where(possible, weights, -1.0).argmax(dim=1, keepdim=True)
        step = torch.randint(1, 10, chosen.shape, generator=generator, device=device)
        return Ragged(values.scatter(1, chosen, (values.gather(1, chosen) + step) % 10), prompts.lengths)

    def keeps(self, prompts: Ragged, changed: Ragged, *, change: str) -> Bool[Tensor, " batch"]:
        numbers = self.read(changed)
        return _no_leading_zero(numbers.first, numbers.first_length) & _no_leading_zero(
            numbers.second, numbers.second_length
        )

    def _write(self, first: Tensor, second: Tensor, generator: Generator) -> Ragged:
        width = max(int(first.max()), int(second.max()))
        numbers = [
            Ragged(draw_numbers(lengths, width=width, generator=generator), lengths) for lengths in (first, second)
        ]
        sign, equals = (self.column(symbol, like=first) for symbol in (self.sign, "="))
        return concatenate([numbers[0], sign, numbers[1], equals])

    def _numbers(self, prompt: str) -> tuple[str, str]:
        """The operands as a prompt writes them, checked, for `solve`."""
        found = re.fullmatch(rf"([0-9]+){re.escape(self.sign)}([0-9]+)=", prompt)
        if not found:
            raise InvalidValueError(f"{prompt!r} is no prompt of {self.name!r}; one looks like 765{self.sign}98=")
        self.check_length(max(map(len, found.groups())))  # Python's own limit of digits lies a little above ours
        for number in found.groups():
            if len(number) > 1 and number.endswith("0"):
                raise InvalidValueError(
                    f"{prompt!r} is no prompt of {self.name!r}: {number!r}, written backwards, has a leading zero"
                )
        return found[1], found[2]


def _no_leading_zero(number: Digits, length: Int[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
    first = values_at(number, length[:, None] - 1)[:, 0]
    return (first > 0) | (length == 1)
