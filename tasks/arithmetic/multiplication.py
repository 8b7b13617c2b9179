"""Multiplication with its partial products written out.

    tokens   [multiply_cot]  7  6  *  1  3  =  7  6  +  0  1  0  2  =  7  7  0  2  [EOS]      67 * 31 = 67 + 2010 = 2077
    scored          .        .  .  .  .  .  .  x  x  x  x  x  x  x  x  x  x  x  x    x

Source: Extrapolation by Association, section 3 (arithmetic).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.arithmetic.digits import DIGITS, add, count_numbers, significant, times_digit
from tasks.arithmetic.operands import Operands, OperandTask
from tasks.errors import InvalidValueError
from tasks.ragged import Ragged, concatenate


@dataclass(frozen=True)
class MultiplyCot(OperandTask):
    """Partial products joined by `+`, then `=` and the product, every number least significant digit first.

    `765*198=` -> `765+03015+006354=791505`: 567 * 891, by the digits 1, 9 and 8 of 891 (a partial product begins with
    as many zeros as its digit has places below it), is 567 + 51030 + 453600 = 505197.

    Length is the number of digits of the first operand. The second has `digits` of them, in training 1 to `digits`,
    uniformly. The product is padded with `0` to as many digits as both operands have together; partial products are not
    padded.

    Attributes:
        digits: Most digits of the second operand, 1 to 9. The paper's text has 3 (n-digit by 3-digit).
        fixed: The second operand itself, a number of that many digits; 0 draws it. `digits=1, fixed=3` is the other
            reading of the paper's text, "multiply by 3".

    Raises:
        InvalidValueError: `digits` outside 1..9, or `fixed` not a number of that many digits.
    """

    digits: int = 3
    fixed: int = 0

    name = "multiply_cot"
    summary = (
        "76*13= -> 76+0102=7702: partial products joined by +, then the product, all least significant digit first"
    )
    sign: ClassVar[str] = "*"
    operands: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.digits, int) or not 1 <= self.digits <= 9:
            raise InvalidValueError(f"digits = {self.digits!r} is not possible for {self.name!r}; allowed are 1 to 9")
        if not isinstance(self.fixed, int) or self.fixed < 0 or (self.fixed and len(str(self.fixed)) != self.digits):
            raise InvalidValueError(
                f"fixed = {self.fixed!r} is not possible for {self.name!r} with digits = {self.digits}; "
                f"allowed are 0 (drawn) and numbers of {self.digits} digits"
            )

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*DIGITS, self.sign, "+", "=")

    def prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        return self._fix(self._write(lengths, torch.full_like(lengths, self.digits), generator))

    def training_prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        if self.fixed:
            return self.prompts(lengths, generator=generator)
        second = torch.randint(1, self.digits + 1, lengths.shape, generator=generator, device=lengths.device)
        return self._write(lengths, second, generator)

    def prompt_space(self, length: int) -> int:
        return count_numbers(length) * (1 if self.fixed else count_numbers(self.digits))

    def keeps(self, prompts: Ragged, changed: Ragged, *, change: str) -> Bool[Tensor, " batch"]:
        kept = super().keeps(prompts, changed, change=change)
        if not self.fixed:
            return kept
        return kept & (self.read(changed).second == self.read(prompts).second).all(dim=1)

    def answers(self, prompts: Ragged) -> Ragged:
        numbers = _wide(self.read(prompts), self.digits)
        plus, equals = (self.column(sign, like=numbers.first_length) for sign in ("+", "="))
        pieces, product = [], torch.zeros_like(numbers.first)
        for place in range(self.digits):
            there = (place < numbers.second_length).long()
            partial = times_digit(numbers.first, numbers.second[:, place])
            shifted = torch.nn.functional.pad(partial, (place, -place))
            product = add(product, shifted)
            if place:
                pieces.append(Ragged(plus.values, there))
            pieces.append(Ragged(shifted, (significant(partial).lengths + place) * there))
        return concatenate([*pieces, equals, Ragged(product, numbers.first_length + numbers.second_length)])

    def solve(self, prompt: str) -> str:
        first, second = self._numbers(prompt)
        if len(second) > self.digits or (self.fixed and int(second[::-1]) != self.fixed):
            wanted = f"the operand {str(self.fixed)[::-1]!r}" if self.fixed else f"1 to {self.digits} digits"
            raise InvalidValueError(f"{prompt!r} is no prompt of {self.name!r}: behind {self.sign!r} it has {wanted}")
        number = int(first[::-1])
        partial = ["0" * place + str(number * int(digit))[::-1] for place, digit in enumerate(second)]
        product = str(number * int(second[::-1]))[::-1].ljust(len(first) + len(second), "0")
        return "+".join(partial) + "=" + product

    def _fix(self, prompts: Ragged) -> Ragged:
        """The prompts with the fixed operand, if there is one, in the place of the second."""
        if not self.fixed:
            return prompts
        numbers = self.read(prompts)
        own = torch.tensor([int(digit) for digit in str(self.fixed)[::-1]], device=prompts.values.device)
        places = numbers.first_length[:, None] + 1 + torch.arange(self.digits, device=own.device)
        return Ragged(prompts.values.scatter(1, places, own.expand(len(places), -1)), prompts.lengths)


def _wide(numbers: Operands, digits: int) -> Operands:
    """The operands in blocks wide enough for their product."""
    return Operands(
        first=torch.nn.functional.pad(numbers.first, (0, digits)),
        second=torch.nn.functional.pad(numbers.second, (0, digits)),
        first_length=numbers.first_length,
        second_length=numbers.second_length,
    )
