"""Signed subtraction.

    tokens   [reverse_subtract]  9  8  -  7  6  5  =  8  7  4  -  [EOS]      89 - 567 = -478
    scored            .          .  .  .  .  .  .  .  x  x  x  x    x

Source: Extrapolation by Association, section 3 (arithmetic).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from tasks.arithmetic.digits import less, subtract
from tasks.arithmetic.operands import OperandTask
from tasks.ragged import Ragged


@dataclass(frozen=True)
class ReverseSubtract(OperandTask):
    """The difference, least significant digit first, and its sign: `765-98=` -> `8740`, `98-765=` -> `874-`.

    The absolute difference is padded with `0` to the digits of the longer operand; behind it stands `-` if it is
    negative, else `0`. (The paper says "signed difference reversed, sign last, padded with 0"; where the difference has
    fewer digits than the operands, we read that as: the sign is the last character.)
    """

    name = "reverse_subtract"
    summary = "98-765= -> 874-: the difference, least significant digit first, its sign last (0 or -)"
    sign: ClassVar[str] = "-"

    def answers(self, prompts: Ragged) -> Ragged:
        numbers = self.read(prompts)
        negative = less(numbers.first, numbers.second)[:, None]
        greater = torch.where(negative, numbers.second, numbers.first)
        difference = subtract(greater, torch.where(negative, numbers.first, numbers.second))
        last = torch.arange(difference.shape[1], device=difference.device) == numbers.longer[:, None]
        values = torch.where(last & negative, self.symbols.index(self.sign), difference)
        return Ragged(values, numbers.longer + 1)

    def solve(self, prompt: str) -> str:
        first, second = self._numbers(prompt)
        difference = int(first[::-1]) - int(second[::-1])
        digits = str(abs(difference))[::-1].ljust(max(len(first), len(second)), "0")
        return digits + ("-" if difference < 0 else "0")
