"""Blocks of digits against Python's integers and against loops that carry by hand."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tasks.arithmetic.digits import (
    add,
    carries,
    carry_chains,
    count_numbers,
    draw_numbers,
    less,
    significant,
    subtract,
    times_digit,
)


def block(numbers: list[int], width: int) -> torch.Tensor:
    """Numbers as rows of digits, least significant first."""
    return torch.tensor([[int(digit) for digit in str(number)[::-1].ljust(width, "0")] for number in numbers])


def numbers_of(digits: torch.Tensor) -> list[int]:
    return [int("".join(map(str, reversed(row)))) for row in digits.tolist()]


def rows_of(length: int, *, least: int = 0, most: int = 9) -> st.SearchStrategy[list[list[int]]]:
    """A few rows of one length; ends and nines are common among Hypothesis' first choices, and asked for here too."""
    symbol = st.one_of(st.integers(least, most), st.sampled_from([least, most, min(9, most)]))
    return st.lists(st.lists(symbol, min_size=length, max_size=length), min_size=1, max_size=6)


def values(rows: list[list[int]]) -> list[int]:
    return [sum(digit * 10**place for place, digit in enumerate(row)) for row in rows]


@st.composite
def two_blocks(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Two blocks of one shape, 1 to 70 digits wide; often equal digits, or digits that sum to 9."""
    rows = draw(rows_of(draw(st.integers(1, 70))))
    other = [[draw(st.sampled_from([digit, 9 - digit, 0, 9, 1, 5])) for digit in row] for row in rows]
    return torch.tensor(rows), torch.tensor(other)


# ------------------------------------------------------------------------------------------------------------- by hand


def test_add_by_hand() -> None:
    # 567 + 89 = 656; 999 + 1 = 1000; the same in three places drops the 1; 0 + 0; 5 + 5 carries into the last place.
    assert add(torch.tensor([[7, 6, 5, 0]]), torch.tensor([[9, 8, 0, 0]])).tolist() == [[6, 5, 6, 0]]
    assert add(torch.tensor([[9, 9, 9, 0]]), torch.tensor([[1, 0, 0, 0]])).tolist() == [[0, 0, 0, 1]]
    assert add(torch.tensor([[9, 9, 9]]), torch.tensor([[1, 0, 0]])).tolist() == [[0, 0, 0]]
    assert add(torch.tensor([[0]]), torch.tensor([[0]])).tolist() == [[0]]
    assert add(torch.tensor([[5, 0]]), torch.tensor([[5, 0]])).tolist() == [[0, 1]]


def test_subtract_by_hand() -> None:
    # 567 - 89 = 478; 1000 - 1 = 999: the borrow runs through the zeros; 100 - 100 = 0.
    assert subtract(torch.tensor([[7, 6, 5]]), torch.tensor([[9, 8, 0]])).tolist() == [[8, 7, 4]]
    assert subtract(torch.tensor([[0, 0, 0, 1]]), torch.tensor([[1, 0, 0, 0]])).tolist() == [[9, 9, 9, 0]]
    assert subtract(torch.tensor([[0, 0, 1]]), torch.tensor([[0, 0, 1]])).tolist() == [[0, 0, 0]]


def test_carries_by_hand() -> None:
    # Sums 16, 14, 5 (567 + 89): carries out of places 0 and 1. Sums 10, 9, 9, 0: one carry runs to place 3.
    # Sums 9, 9: none begins. Sums 9, 12, 0: the 9 has none to pass on, the 12 begins one.
    assert carries(torch.tensor([[16, 14, 5, 0]])).int().tolist() == [[0, 1, 1, 0]]
    assert carries(torch.tensor([[10, 9, 9, 0]])).int().tolist() == [[0, 1, 1, 1]]
    assert carries(torch.tensor([[9, 9]])).int().tolist() == [[0, 0]]
    assert carries(torch.tensor([[9, 12, 0]])).int().tolist() == [[0, 0, 1]]


def test_carry_chains_by_hand() -> None:
    # The same sums; 10, 9, 9, 0 is one chain of three. 12, 10, 0: two chains of one. In 9, 10 and in 18 the carry runs
    # out of the block: one place beyond its last.
    assert carry_chains(torch.tensor([[16, 14, 5, 0]])).tolist() == [[1, 1, 0, 0]]
    assert carry_chains(torch.tensor([[10, 9, 9, 0]])).tolist() == [[3, 0, 0, 0]]
    assert carry_chains(torch.tensor([[12, 10, 0]])).tolist() == [[1, 1, 0]]
    assert carry_chains(torch.tensor([[9, 10]])).tolist() == [[0, 1]]
    assert carry_chains(torch.tensor([[18]])).tolist() == [[1]]
    assert carry_chains(torch.tensor([[10, 9]])).tolist() == [[2, 0]]


def test_times_digit_by_hand() -> None:
    # 567 * 9 = 5103; 99 * 9 = 891, in two places 91; any number times 0.
    assert times_digit(torch.tensor([[7, 6, 5, 0]]), torch.tensor([9])).tolist() == [[3, 0, 1, 5]]
    assert times_digit(torch.tensor([[9, 9]]), torch.tensor([9])).tolist() == [[1, 9]]
    assert times_digit(torch.tensor([[7, 6]]), torch.tensor([0])).tolist() == [[0, 0]]


def test_less_by_hand() -> None:
    # 89 < 567, 567 < 89, 21 < 12, 12 < 21, equal.
    first = torch.tensor([[9, 8, 0], [7, 6, 5], [1, 2, 0], [2, 1, 0], [4, 4, 4]])
    second = torch.tensor([[7, 6, 5], [9, 8, 0], [2, 1, 0], [1, 2, 0], [4, 4, 4]])
    assert less(first, second).tolist() == [True, False, False, True, False]


def test_significant_by_hand() -> None:
    digits = torch.tensor([[0, 0, 0], [5, 0, 0], [0, 5, 0], [0, 0, 5], [1, 0, 2]])
    assert significant(digits).lengths.tolist() == [1, 1, 2, 3, 3]
    assert torch.equal(significant(digits).values, digits)


def test_no_numbers_at_all() -> None:
    none, digit = torch.zeros((0, 3), dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    for result in (add(none, none), subtract(none, none), times_digit(none, digit), carry_chains(none), carries(none)):
        assert result.shape == (0, 3)
    assert len(less(none, none)) == len(significant(none).lengths) == 0
    assert draw_numbers(digit, width=3, generator=torch.Generator()).shape == (0, 3)


# ------------------------------------------------------------------------------------------ against integers and loops


@settings(max_examples=100)
@given(blocks=two_blocks())
def test_add_is_integer_addition(blocks: tuple[torch.Tensor, torch.Tensor]) -> None:
    first, second = blocks
    modulus = 10 ** first.shape[1]
    pairs = zip(numbers_of(first), numbers_of(second), strict=True)
    assert numbers_of(add(first, second)) == [(one + other) % modulus for one, other in pairs]


@settings(max_examples=100)
@given(blocks=two_blocks())
def test_less_and_subtract_are_those_of_integers(blocks: tuple[torch.Tensor, torch.Tensor]) -> None:
    first, second = blocks
    pairs = list(zip(numbers_of(first), numbers_of(second), strict=True))
    smaller = less(first, second)
    assert smaller.tolist() == [one < other for one, other in pairs]
    greater = torch.where(smaller[:, None], second, first)
    least = torch.where(smaller[:, None], first, second)
    assert numbers_of(subtract(greater, least)) == [abs(one - other) for one, other in pairs]


@settings(max_examples=100)
@given(data=st.data())
def test_times_digit_is_integer_multiplication(data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 70))
    rows = data.draw(rows_of(width))
    digits = [data.draw(st.integers(0, 9)) for _ in rows]
    expected = [number * digit % 10**width for number, digit in zip(values(rows), digits, strict=True)]
    assert numbers_of(times_digit(torch.tensor(rows), torch.tensor(digits))) == expected


def carries_by_loop(sums: list[int]) -> list[int]:
    """The carry into each place, place by place as on paper."""
    carried = [0]
    for total in sums:
        carried.append(int(total + carried[-1] >= 10))
    return carried[:-1]


def chains_by_loop(sums: list[int]) -> list[int]:
    """For each place whose own sum is 10 or more: it and the places of sum 9 that follow it without a gap."""
    chains = []
    for place, total in enumerate(sums):
        nines = list(itertools.takewhile(lambda other: other == 9, sums[place + 1 :]))
        chains.append(1 + len(nines) if total >= 10 else 0)
    return chains


@settings(max_examples=100)
@given(rows=st.integers(1, 70).flatmap(lambda length: rows_of(length, most=18)))
def test_carries_and_chains_are_those_of_a_loop(rows: list[list[int]]) -> None:
    sums = torch.tensor(rows)
    assert carries(sums).int().tolist() == [carries_by_loop(row) for row in rows]
    assert carry_chains(sums).tolist() == [chains_by_loop(row) for row in rows]


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_carries_and_chains_of_all_short_sums(length: int) -> None:
    # A place has a sum below 9, of 9, or above: three stand for all.
    rows = [list(row) for row in itertools.product([8, 9, 10], repeat=length)]
    assert carries(torch.tensor(rows)).int().tolist() == [carries_by_loop(row) for row in rows]
    assert carry_chains(torch.tensor(rows)).tolist() == [chains_by_loop(row) for row in rows]


@given(rows=st.integers(1, 70).flatmap(rows_of))
def test_significant_digits_are_those_python_writes(rows: list[list[int]]) -> None:
    assert significant(torch.tensor(rows)).lengths.tolist() == [len(str(number)) for number in values(rows)]


def test_4096_digits() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.randint(10, (4, 4097), generator=generator) for _ in range(2))
    # One carry and one borrow through every place: 99...9 + 1, 100...0 - 1.
    first[0], second[0] = 9, 0
    second[0, 0] = 1
    first[:, -1], second[:, -1] = torch.tensor([0, 8, 1, 5]), 0
    one, other = numbers_of(first), numbers_of(second)
    assert one[0] + other[0] == 10**4096
    pairs = list(zip(one, other, strict=True))
    assert numbers_of(add(first, second)) == [left + right for left, right in pairs]
    assert less(first, second).tolist() == [left < right for left, right in pairs]
    assert numbers_of(subtract(first, second)) == [left - right for left, right in pairs]
    digits = torch.tensor([9, 1, 7, 0])
    expected = [number * digit % 10**4097 for number, digit in zip(one, digits.tolist(), strict=True)]
    assert numbers_of(times_digit(first, digits)) == expected
    power = block([10**4096], 4097)
    assert numbers_of(subtract(power, block([1], 4097))) == [10**4096 - 1]
    assert significant(power).lengths.tolist() == [4097]
    sums = first + second
    assert carries(sums).int().tolist() == [carries_by_loop(row) for row in sums.tolist()]
    assert carry_chains(sums).tolist()[0] == [4096] + [0] * 4096


# -------------------------------------------------------------------------------------------------------- drawn numbers


@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=20), seed=st.integers(0, 2**32))
def test_drawn_numbers_have_their_length(lengths: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    digits = draw_numbers(torch.tensor(lengths), width=max(lengths) + 2, generator=generator)
    assert bool(((digits >= 0) & (digits <= 9)).all())
    for row, length in zip(digits.tolist(), lengths, strict=True):
        assert not any(row[length:])
        assert length == 1 or row[length - 1] > 0


@pytest.mark.parametrize("length", [1, 2, 3])
def test_drawn_numbers_are_uniform(length: int) -> None:
    # 10, 90 or 900 numbers, 20 draws and more of each; rows of another length among them change nothing.
    lengths = torch.tensor([length, 5]).repeat(18000)
    digits = draw_numbers(lengths, width=5, generator=torch.Generator().manual_seed(2))[::2]
    counts = torch.tensor(numbers_of(digits)).bincount(minlength=10**length)
    least = 0 if length == 1 else 10 ** (length - 1)
    assert not counts[:least].any()
    assert len(counts[least:]) == count_numbers(length)
    assert chisquare(counts[least:].numpy()).pvalue > 1e-3


def test_count_numbers() -> None:
    # One digit: 0 to 9. Two: 10 to 99. Five: 10000 to 99999.
    assert [count_numbers(length) for length in (1, 2, 5)] == [10, 90, 90000]
