"""Number tasks: what is refused, parameters, lengths and prompts, by the text of the error."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tasks import InvalidValueError
from tasks.sorting import Count, Fill, Min, NumberTask, Sort, Successor


@pytest.mark.parametrize("numbers", [-1, 1, 1001, 3.0, "12"])
def test_impossible_numbers_are_refused(numbers: Any, unchecked: None) -> None:
    expected = f"numbers {numbers!r} is not possible for 'min'; allowed are 2 to 1000"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(expected)}$"):
        Min(numbers)


def test_impossible_elements_are_refused(unchecked: None) -> None:
    expected = "elements 'all' is not possible for 'fill'; allowed is 'any' or 'distinct'"
    with pytest.raises(InvalidValueError, match=f"^{expected}$"):
        Fill(elements="all")  # pyright: ignore[reportArgumentType]


def test_impossible_relation_is_refused(unchecked: None) -> None:
    expected = "relation 'less' is not possible for 'count'; allowed is 'equal' or 'smaller' or 'larger'"
    with pytest.raises(InvalidValueError, match=f"^{expected}$"):
        Count(relation="less")  # pyright: ignore[reportArgumentType]


def test_counting_equal_among_distinct_is_refused() -> None:
    expected = (
        "relation 'equal' is not possible for 'count' with distinct elements: every answer would be [1]; "
        "allowed is 'smaller' or 'larger', or elements 'any'"
    )
    with pytest.raises(InvalidValueError, match=f"^{re.escape(expected)}$"):
        Count(elements="distinct")


DISTINCT = "with distinct elements: there are 5 numbers; allowed are"


@pytest.mark.parametrize(
    ("make", "length", "expected"),
    [
        (Sort, 4097, "length 4097 is not possible for task 'sort'; allowed are 1 to 4096"),
        (lambda: Sort(5, "distinct"), 6, f"length 6 is not possible for task 'sort' {DISTINCT} 1 to 5"),
        (lambda: Sort(5, "distinct"), 0, "length 0 is not possible for task 'sort'; allowed are 1 to 5"),
        (lambda: Successor(5, "distinct"), 6, f"length 6 is not possible for task 'successor' {DISTINCT} 2 to 5"),
        (Successor, 1, "length 1 is not possible for task 'successor'; allowed are 2 to 4096"),
        (Count, 101, "length 101 is not possible for task 'count'; allowed are 2 to 100"),
    ],
)
def test_impossible_length_is_refused(make: Callable[[], NumberTask], length: int, expected: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{re.escape(expected)}$"):
        make().sample(1, length=length, generator=torch.Generator())


FORMS = [
    (Sort(), "sort", "[2][1]=", ["", "=", "[1]", "[1],[1]=", ",=", "[1]=[1]"]),
    (Min(), "min", "[2][1]=", ["", "=", "[1]"]),
    (Successor(), "successor", "[2][1],[1]=", ["", "=", "[2][1]=", ",[1]=", "[2][1],=", "[2][1],[1]", "[2],[1],[1]="]),
    (Count(), "count", "[2][1],[1]=", ["", "=", "[2][1]=", ",[1]=", "[2][1],="]),
    (Fill(), "fill", "[2][1],[1]_=", ["", "=", "[2][1]=", ",_=", "[2][1],=", "[1],_,_="]),
]


@pytest.mark.parametrize(
    ("task", "name", "form", "prompt"),
    [(task, name, form, prompt) for task, name, form, prompts in FORMS for prompt in prompts],
    ids=str,
)
def test_solve_refuses_other_forms(task: NumberTask, name: str, form: str, prompt: str) -> None:
    expected = f"{prompt!r} is no prompt of {name!r}; one looks like {form}"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(expected)}$"):
        task.solve(prompt)
    assert task.solve(form)


REFUSED: list[tuple[NumberTask, str, str]] = [
    *(
        (Sort(12), f"[1]{piece}=", f"{piece!r} is not a number of 'sort'; its numbers are [1] to [12]")
        for piece in ["[13]", "[0]", "[01]", "[]", "[x]", "[-1]", "[1 ]", "[٣]", "[", "5", " ", "=", "_", "\n"]
    ),
    (Successor(), "[2][1],x=", "'x' is not a number of 'successor'; its numbers are [1] to [100]"),
    (Count(), "[2][0],[2]=", "'[0]' is not a number of 'count'; its numbers are [1] to [100]"),
    (
        Min(5, "distinct"),
        "[2][1][3][1]=",
        "[1] stands 2 times in [2][1][3][1]; with distinct elements a number may stand once",
    ),
    (Successor(), "[2][1],[1][2]=", "'[2][1],[1][2]=' asks about 2 numbers; allowed is one: [2][1],[1]="),
    (Successor(), "[5][3],[4]=", "[4] is not an element of [5][3]; 'successor' asks about one that is"),
    (Count(), "[5][3],[4]=", "[4] is not an element of [5][3]; 'count' asks about one that is"),
    (
        Successor(),
        "[5][3][5],[5]=",
        "[5] is the largest element in '[5][3][5],[5]='; 'successor' asks about one that has a larger one",
    ),
    (
        Successor(),
        "[5],[5]=",
        "[5] is the largest element in '[5],[5]='; 'successor' asks about one that has a larger one",
    ),
    (Count(2), "[1][2][1],[1]=", "length 3 is not possible for task 'count'; allowed are 2 to 2"),
    (Fill(), "[5][3],_=", "'[5][3],_=' has 1 places behind the comma for 2 elements; it must have as many"),
    (Fill(), "[5],__=", "'[5],__=' has 2 places behind the comma for 1 elements; it must have as many"),
    (Fill(), "[5][3],[5]_=", "'[5]' stands in the sorted part of '[5][3],[5]_=' where [3] or _ must be"),
    (Fill(), "[5][3],_x=", "'x' stands in the sorted part of '[5][3],_x=' where [5] or _ must be"),
    (Fill(), "[5][3],[3][5]=", "'[5][3],[3][5]=' has no gap; at least one element must be hidden by _"),
    (Fill(), "[5]_,[3]_=", "'_' is not a number of 'fill'; its numbers are [1] to [100]"),
]


@pytest.mark.parametrize(("task", "prompt", "expected"), REFUSED, ids=lambda value: repr(value)[:40])
def test_solve_refuses_what_is_no_prompt(task: NumberTask, prompt: str, expected: str) -> None:
    with pytest.raises(InvalidValueError, match=f"^{re.escape(expected)}$"):
        task.solve(prompt)
