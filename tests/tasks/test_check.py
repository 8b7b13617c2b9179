"""Checks of tasks: what `check_task` finds, and which tasks read the same prompts."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from tasks import InvalidValueError, Ragged, Task, check_task, get_task, same_prompts
from tasks.strings import Copy, Reverse


def check(task: Task) -> None:
    check_task(task, lengths=[1, 4], generator=torch.Generator().manual_seed(0), n=5)


@dataclass(frozen=True)
class Wrong(Copy):
    """Copies in `sample`, and reverses in `solve`."""

    name = "wrong"

    def solve(self, prompt: str) -> str:
        return super().solve(prompt)[::-1]


@dataclass(frozen=True)
class Moody(Copy):
    """Copies the first time it is asked, and reverses the second."""

    name = "moody"
    asked: ClassVar[list[int]] = []

    def answers(self, prompts: Ragged) -> Ragged:
        self.asked.append(1)
        return super().answers(prompts) if len(self.asked) % 2 else Reverse().answers(prompts)


@pytest.mark.parametrize("name", ["shift", "reverse_add", "mqar", "sort"])
def test_right_tasks_pass(name: str) -> None:
    task = get_task(name)
    check_task(task, lengths=[2, 5], generator=torch.Generator().manual_seed(0), n=5)


def test_disagreement_is_named() -> None:
    text = "^task 'wrong' answers '.{5}' with '.{4}' in 'sample' and '.{4}' in 'solve'; mend the one that is wrong$"
    with pytest.raises(InvalidValueError, match=text):
        check(Wrong())


def test_answers_that_hang_on_more_than_the_prompt_are_found() -> None:
    with pytest.raises(InvalidValueError, match="^task 'moody' writes the prompts of length 4 in other tokens "):
        check_task(Moody(), lengths=[4], generator=torch.Generator().manual_seed(0), n=5)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("reverse_add", "no_carry", True),
        ("copy", "reverse", True),
        ("reverse_add", "reverse_subtract", False),
        ("copy", "mqar", False),
    ],
)
def test_same_prompts(first: str, second: str, same: bool) -> None:
    assert same_prompts(get_task(first), get_task(second), length=6) == same
