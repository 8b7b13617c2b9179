"""Tasks for the model that is set by hand: they speak its three tokens, and draw given examples over and over."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor

from tasks import Batch, Task, Vocabulary
from tasks.ragged import Ragged

A, B, EOS = 0, 1, 2

Row = tuple[int, ...]
"""An example: its prompt's tokens, then the scored one."""


@dataclass(frozen=True)
class HandTask(Task):
    """Examples of a length, drawn in order, again from the first when all were drawn."""

    rows: Callable[[int], list[Row]] = lambda length: []

    name: ClassVar[str] = "hand"

    @property
    def max_length(self) -> int:
        return 6

    def bind(self, vocabulary: Vocabulary) -> Self:
        return self

    def sample(self, n: int, *, length: Any, generator: Generator, stream: str = "all") -> Batch:
        self.check_length(length)
        rows = self.rows(length)
        tokens = torch.tensor([rows[place % len(rows)] for place in range(n)])
        scored = torch.zeros_like(tokens, dtype=torch.bool)
        scored[:, -1] = True
        return Batch(tokens, scored)

    @property
    def symbols(self) -> tuple[str, ...]:
        return ("a", "b")

    def prompts(self, lengths: Tensor, *, generator: Generator) -> Ragged:
        raise NotImplementedError

    def answers(self, prompts: Ragged) -> Ragged:
        raise NotImplementedError

    def prompt_space(self, length: int) -> int:
        return 2**length

    def solve(self, prompt: str) -> str:
        raise NotImplementedError


class First(HandTask):
    """A first task."""

    name = "first"


class Second(HandTask):
    """A second one."""

    name = "second"


def towards_target(logits: Tensor, batch: Batch) -> Tensor:
    """The logit of [EOS]: great is good where [EOS] is the answer, and bad where `a` is."""
    return logits[:, EOS] * torch.where(batch.targets == EOS, 1.0, -1.0)
