"""Addition, its two parts, and its control, on the same prompts.

    tokens   [reverse_add]  7  6  5  +  9  8  =  6  5  6  0  [EOS]      567 + 89 = 656
    tokens   [no_carry]     7  6  5  +  9  8  =  6  4  5  0  [EOS]      each digit's sum by itself
    tokens   [carry_only]   7  6  5  +  9  8  =  0  1  1  0  [EOS]      the carry into each digit
    tokens   [copy_first]   7  6  5  +  9  8  =  7  6  5  [EOS]         the first operand
    scored        .         .  .  .  .  .  .  .  x  x  x  x    x

Source: Extrapolation by Association, section 3 (arithmetic).
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from tasks.arithmetic.digits import Digits, carries, carry_chains
from tasks.arithmetic.operands import Operands, OperandTask
from tasks.ragged import Ragged


@dataclass(frozen=True)
class AdditionTask(OperandTask):
    """A task on the prompts of an addition.

    Kinds of counterfactual change, beside `any`:

    - `carry`: exactly one carry chain appears or disappears, whole; every other carry stays. A chain begins where two
      digits' own sum is 10 or more and runs on through the places whose sum is 9.
    - `digit`: no carry changes.
    """

    sign: ClassVar[str] = "+"
    changes: ClassVar[tuple[str, ...]] = ("any", "carry", "digit")

    def keeps(self, prompts: Ragged, changed: Ragged, *, change: str) -> Bool[Tensor, " batch"]:
        kept = super().keeps(prompts, changed, change=change)
        if change == "any":
            return kept
        old, new = (numbers.first + numbers.second for numbers in (self.read(prompts), self.read(changed)))
        if change == "digit":
            return kept & (carries(old) == carries(new)).all(dim=1)
        chains, others = carry_chains(old), carry_chains(new)
        differ = chains != others
        whole = (~differ | (chains == 0) | (others == 0)).all(dim=1)
        return kept & whole & (differ.sum(dim=1) == 1)

    def answers(self, prompts: Ragged) -> Ragged:
        numbers = self.read(prompts)
        return Ragged(self.result(numbers), numbers.longer + 1)

    def result(self, numbers: Operands) -> Digits:
        """The digits of the answers, one more than the longer operand has; beyond them arbitrary ones."""
        raise NotImplementedError


@dataclass(frozen=True)
class ReverseAdd(AdditionTask):
    """The sum, least significant digit first, padded with `0` to one digit more than the longer operand has.

    `765+98=` -> `6560`: 567 + 89 = 656.
    """

    name = "reverse_add"
    summary = "765+98= -> 6560: the sum, least significant digit first, one digit longer than the longer operand"

    def result(self, numbers: Operands) -> Digits:
        sums = numbers.first + numbers.second
        return (sums + carries(sums).long()) % 10

    def solve(self, prompt: str) -> str:
        first, second = self._numbers(prompt)
        total = int(first[::-1]) + int(second[::-1])
        return str(total)[::-1].ljust(max(len(first), len(second)) + 1, "0")


@dataclass(frozen=True)
class NoCarry(AdditionTask):
    """The sum of each pair of digits by itself, modulo 10, and a `0`: addition without carrying.

    `765+98=` -> `6450`.
    """

    name = "no_carry"
    summary = "765+98= -> 6450: each pair of digits added modulo 10, without carrying, and a 0"

    def result(self, numbers: Operands) -> Digits:
        return (numbers.first + numbers.second) % 10

    def solve(self, prompt: str) -> str:
        first, second = self._numbers(prompt)
        places = max(len(first), len(second))
        pairs = zip(first.ljust(places, "0"), second.ljust(places, "0"), strict=True)
        return "".join(str((int(one) + int(other)) % 10) for one, other in pairs) + "0"


@dataclass(frozen=True)
class CarryOnly(AdditionTask):
    """The carry into each place of the sum: `765+98=` -> `0110`."""

    name = "carry_only"
    summary = "765+98= -> 0110: the carry into each digit of the sum"
    changes: ClassVar[tuple[str, ...]] = ("any", "carry")

    def result(self, numbers: Operands) -> Digits:
        return carries(numbers.first + numbers.second).long()

    def solve(self, prompt: str) -> str:
        first, second = self._numbers(prompt)
        carried = ["0"]
        for place in range(max(len(first), len(second))):
            one, other = (int(number[place]) if place < len(number) else 0 for number in (first, second))
            carried.append("1" if one + other + int(carried[-1]) >= 10 else "0")
        return "".join(carried)


@dataclass(frozen=True)
class CopyFirst(AdditionTask):
    """Addition's prompt, but the answer is the first operand, copied: a control. `765+98=` -> `765`."""

    name = "copy_first"
    summary = "765+98= -> 765: addition's prompt, the first operand copied (a control)"

    def answers(self, prompts: Ragged) -> Ragged:
        numbers = self.read(prompts)
        return Ragged(numbers.first, numbers.first_length)

    def result(self, numbers: Operands) -> Digits:
        return numbers.first

    def solve(self, prompt: str) -> str:
        return self._numbers(prompt)[0]
