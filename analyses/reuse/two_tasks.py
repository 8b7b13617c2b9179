"""Test examples of two tasks for one model: on the same prompts, place by place, where both tasks read the same."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator

from analyses.examples import Examples
from tasks import Batch, Pair, Task, same_prompts
from training import HookedTransformer


@dataclass(frozen=True)
class TwoTasks:
    """As many examples of one task as of another, side by side.

        shift   [shift]  q  W  e  =  r  X  f
        copy    [copy]   q  W  e  =  q  W  e

    Attributes:
        first: Examples of the first task.
        second: Examples of the second, filled up behind with [EOS] to the same width, as the first are.
        aligned: Whether example i of both has the same prompt at the same positions; else they are drawn apart.
    """

    first: Batch
    second: Batch
    aligned: bool

    @classmethod
    def drawn(
        cls, model: HookedTransformer, first: Task, second: Task, *, length: int, n: int, generator: Generator
    ) -> Self:
        """Draws examples from the test stream.

        Args:
            model: The model, whose vocabulary they speak; with nothing hooked to it.
            first: A task.
            second: Another one.
            length: The length of all examples.
            n: Examples of each task.
            generator: The source. Tasks that read the same prompts draw from it in the same state.

        Raises:
            InvalidValueError: A model with hooks attached, n below 1, a length that a task cannot make, a vocabulary
                without a task's tokens.
        """
        aligned = are_aligned(first, second, length=length)
        source = generator
        if aligned:
            source = torch.Generator(generator.device)
            source.set_state(generator.get_state())
        batches = []
        for task, origin in ((first, source), (second, generator)):
            examples = Examples.drawn(model, task, length=length, n=n, generator=origin, task_head=0)
            examples.check_model(model, before="two tasks are compared")
            batches.append(examples.clean)
        width = max(batch.tokens.shape[1] for batch in batches)
        one, other = (Pair.widened(batch, width, eos=model.vocabulary.eos) for batch in batches)
        return cls(one, other, aligned)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def width(self) -> int:
        """How many tokens the model reads of each."""
        return self.first.inputs.shape[1]

    def part(self, rows: slice) -> Batch:
        """Some of the first task's examples and then as many of the second's."""
        return Batch(
            torch.cat((self.first.tokens[rows], self.second.tokens[rows])),
            torch.cat((self.first.scored[rows], self.second.scored[rows])),
        )

    def parts(self, tokens: int) -> list[slice]:
        """The rows of each part of both tasks' examples that has at most so many tokens, or one example of each."""
        rows = max(1, tokens // (2 * self.width))
        return [slice(start, min(start + rows, len(self))) for start in range(0, len(self), rows)]


def are_aligned(first: Task, second: Task, *, length: int) -> bool:
    """Whether two tasks read the same prompts, at the same positions (their markers take as many tokens).

    Raises:
        InvalidValueError: A length that a task cannot make.
    """
    return first.marking == second.marking and same_prompts(first, second, length=length)
