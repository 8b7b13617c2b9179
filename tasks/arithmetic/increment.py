"""A number plus one, and the hint for it: every digit replaced by the next.

    tokens   [increment]  5  9  9  =  6  0  0  [EOS]
    scored        .       .  .  .  .  x  x  x    x

Source: Task Hinting, section 1 (increment); the hint's form and the reversed order are our reading.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.arithmetic.digits import DIGITS, add, count_numbers, draw_numbers, significant
from tasks.errors import InvalidValueError
from tasks.frame import END
from tasks.ragged import Ragged, values_at
from tasks.task import Task

DigitOrder = Literal["plain", "reversed"]
"""`plain`: most significant digit first; `reversed`: least significant first, as in Extrapolation by Association."""


@dataclass(frozen=True)
class DigitTask(Task):
    """A task on one number in digits: uniform over the numbers of a length, which have no leading zeros.

    Length is the number of digits; 0 is a number of one digit.
    """

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*DIGITS, END)

    @property
    def replaceable(self) -> tuple[str, ...]:
        return DIGITS

    def prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        width = int(lengths.max()) + 1
        digits = self.turned(draw_numbers(lengths, width=width, generator=generator), lengths)
        places = torch.arange(width, device=lengths.device)
        return Ragged(torch.where(places == lengths[:, None], self.symbols.index(END), digits), lengths + 1)

    def prompt_space(self, length: int) -> int:
        return count_numbers(length)

    def keeps(self, prompts: Ragged, changed: Ragged, *, change: str) -> Bool[Tensor, " batch"]:
        count = changed.lengths - 1
        leading = self.turned(changed.values, count).gather(1, count[:, None] - 1)[:, 0]
        return (leading > 0) | (count == 1)

    def turned(self, digits: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]) -> Int[Tensor, "batch pos"]:
        """Numbers as the task writes them, least significant digit first; or these, as the task writes them."""
        places = torch.arange(digits.shape[1], device=digits.device)
        return values_at(digits, lengths[:, None] - 1 - places)

    def _digits(self, prompt: str, *, leading: int = 0) -> str:
        """The digits of a prompt, checked, for `solve`; `leading` is the index of the most significant one."""
        if not prompt.endswith("=") or not prompt[:-1]:
            raise InvalidValueError(f"{prompt!r} is no prompt of {self.name!r}; one looks like 599=")
        strange = [symbol for symbol in prompt[:-1] if symbol not in "0123456789"]
        if strange:
            raise InvalidValueError(f"{strange[0]!r} is not a digit of {self.name!r}; its digits are 0 to 9")
        digits = prompt[:-1]
        if len(digits) > 1 and digits[leading] == "0":
            end = "begin" if leading == 0 else "end"
            raise InvalidValueError(f"{prompt!r} has a leading zero; {len(digits)} digits must {end} with 1 to 9")
        return digits


@dataclass(frozen=True)
class Increment(DigitTask):
    """The number plus one: `599=` -> `600`. Answers are not padded: with nines alone they have one digit more.

    Attributes:
        order: The order of the digits (`DigitOrder`).

    Raises:
        InvalidValueError: No order has that name.
    """

    order: DigitOrder = "plain"

    name = "increment"
    summary = "599= -> 600: the number plus one"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in get_args(DigitOrder):
            allowed = " or ".join(repr(order) for order in get_args(DigitOrder))
            raise InvalidValueError(f"order {self.order!r} is not possible for 'increment'; allowed is {allowed}")

    def turned(self, digits: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]) -> Int[Tensor, "batch pos"]:
        return digits if self.order == "reversed" else super().turned(digits, lengths)

    def answers(self, prompts: Ragged) -> Ragged:
        digits = Ragged(self.turned(prompts.values, prompts.lengths - 1), prompts.lengths - 1)
        number = torch.where(digits.counted, digits.values, 0)
        one = torch.zeros_like(number)
        one[:, 0] = 1
        # The place of `=` is room for one digit more.
        total = significant(add(number, one))
        return Ragged(self.turned(total.values, total.lengths), total.lengths)

    def solve(self, prompt: str) -> str:
        if self.order == "plain":
            plain = self._digits(prompt)
        else:
            plain = self._digits(prompt, leading=-1)[::-1]
        # As on paper: Python refuses to make numbers of very many digits.
        kept = plain.rstrip("9")
        zeros = "0" * (len(plain) - len(kept))
        answer = kept[:-1] + str(int(kept[-1]) + 1) + zeros if kept else "1" + zeros
        return answer if self.order == "plain" else answer[::-1]


@dataclass(frozen=True)
class DigitSuccessor(DigitTask):
    """Each digit replaced by the next one, 9 by 0: `569=` -> `670`.

    Our reading of the paper's hint for `increment`, whose prompts it shares.
    """

    name = "digit_successor"
    summary = "569= -> 670: each digit replaced by the next, 9 by 0"

    def answers(self, prompts: Ragged) -> Ragged:
        return Ragged((prompts.values + 1) % 10, prompts.lengths - 1)

    def solve(self, prompt: str) -> str:
        return "".join("1234567890"[int(digit)] for digit in self._digits(prompt))
