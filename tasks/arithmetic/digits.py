"""Arithmetic on blocks of decimal digits, least significant digit first, without a loop over digits.

A carry runs through the digits whose sum is 9 (a borrow: whose difference is 0) and stops at any other, which alone
decides what it passes on. So the carry out of a place is that of the nearest place at or before it that is not 9.
"""

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.ragged import Ragged, last_of

Digits = Int[Tensor, "batch digit"]

DIGITS = tuple("0123456789")
"""The symbols of digits, each at its value's place."""


def draw_numbers(lengths: Int[Tensor, " batch"], *, width: int, generator: Generator) -> Digits:
    """Numbers of given lengths, uniform over those of that length; 0 behind the most significant digit.

    A number has no leading zero, but for the one-digit number 0.
    """
    places, device = torch.arange(width, device=lengths.device), lengths.device
    digits = torch.randint(10, (len(lengths), width), generator=generator, device=device)
    first = torch.randint(1, 10, (len(lengths), 1), generator=generator, device=device)
    digits = torch.where((places == lengths[:, None] - 1) & (places > 0), first, digits)
    return torch.where(places < lengths[:, None], digits, 0)


def count_numbers(length: int) -> int:
    """How many numbers of a length there are."""
    return 10 if length == 1 else 9 * 10 ** (length - 1)


def carries(sums: Digits) -> Bool[Tensor, "batch digit"]:
    """Which places receive a carry, given each place's sum of two digits without it."""
    return _passed_on(sums != 9, sums > 9)


def add(first: Digits, second: Digits) -> Digits:
    """The sum of two numbers, as wide as they are: a carry out of the last place is dropped."""
    sums = first + second
    return (sums + carries(sums).long()) % 10


def subtract(first: Digits, second: Digits) -> Digits:
    """The difference of two numbers, the first at least as great."""
    differences = first - second
    return (differences - _passed_on(differences != 0, differences < 0).long()) % 10


def less(first: Digits, second: Digits) -> Bool[Tensor, " batch"]:
    """Whether the first number is less than the second."""
    highest = last_of(first != second)[:, -1:]
    at = highest.clamp(min=0)
    return ((first.gather(1, at) < second.gather(1, at)) & (highest >= 0))[:, 0]


def times_digit(number: Digits, digit: Int[Tensor, " batch"]) -> Digits:
    """A number times one digit, as wide as the number: what goes beyond the last place is dropped."""
    products = number * digit[:, None]
    tens = torch.nn.functional.pad(products // 10, (1, -1))
    return add(products % 10, tens)


def significant(digits: Digits) -> Ragged:
    """Numbers without their leading zeros; 0 has one digit."""
    return Ragged(digits, last_of(digits != 0)[:, -1].clamp(min=0) + 1)


def carry_chains(sums: Digits) -> Digits:
    """How many places the carry that arises at a place runs into; 0 where none arises.

    A carry arises where two digits' own sum is 10 or more, and runs on through places whose sum is 9.
    """
    width = sums.shape[1]
    places = torch.arange(width, device=sums.device)
    stops = (width - 1 - last_of((sums != 9).flip(1)).flip(1)).clamp(max=width)  # nearest stop at or behind a place
    behind = torch.nn.functional.pad(stops, (-1, 1), value=width)
    return torch.where(sums > 9, behind - places, 0)


def _passed_on(stops: Bool[Tensor, "batch digit"], arises: Bool[Tensor, "batch digit"]) -> Bool[Tensor, "batch digit"]:
    """Which places receive what their predecessor passes on: what arose at the nearest place that stops it."""
    source = last_of(stops)
    passed = arises.gather(1, source.clamp(min=0)) & (source >= 0)
    return torch.nn.functional.pad(passed, (1, -1))
