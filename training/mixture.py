"""The training stream: examples of several tasks, task and length drawn for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from tasks import Batch, Member
from tasks.targets import answered_by


@dataclass(frozen=True)
class Examples:
    """Examples of several tasks, from short to long, the shorter ones filled up behind.

    Attributes:
        batch: The examples.
        task: Each example's task, as its place in the mixture.
    """

    batch: Batch
    task: Int[Tensor, " batch"]

    @property
    def tokens(self) -> int:
        """How many tokens the model has to read: of each example those up to its last predicting position."""
        return int(_widths(self.batch).sum()) - len(self.task)

    def within(self, budget: int) -> list["Examples"]:
        """The same examples in parts, each of at most `budget` tokens when filled up to its longest example.

        One example is never divided, so a budget below an example's tokens gives parts of one example.
        """
        parts: list[Examples] = []
        widths, first = (_widths(self.batch) - 1).tolist(), 0
        for last, width in enumerate(widths):
            if last > first and (last + 1 - first) * width > budget:
                parts.append(self._part(first, last))
                first = last
        return [*parts, self._part(first, len(widths))]

    def to(self, device: torch.device) -> "Examples":
        """The same examples on a device."""
        return Examples(self.batch.to(device), self.task.to(device))

    def _part(self, first: int, last: int) -> "Examples":
        rows = slice(first, last)
        longest = int(_widths(self.batch[rows]).max())
        return Examples(Batch(self.batch.tokens[rows, :longest], self.batch.scored[rows, :longest]), self.task[rows])


def draw_examples(
    mixture: Sequence[Member],
    *,
    n: int,
    generator: Generator,
    draw: Literal["example", "batch"] = "example",
) -> Examples:
    """Draws a batch of training examples.

    Task uniform over the mixture, length as that task's lengths are distributed: drawn independently for each example
    (`example`; Extrapolation by Association, section 3), or once for all of them (`batch`).

    A task whose targets are shuffled has the answers of further examples of its own, one for each, at the same lengths
    and drawn after all that the batch holds: prompts, and the examples of the other tasks, are those of a mixture with
    true targets, bit for bit.

    Args:
        mixture: The tasks with their greatest lengths.
        n: Examples in the batch.
        generator: The source of tasks, lengths and examples.
        draw: Whether each example or each batch has a task and a length of its own.
    """
    draws = n if draw == "example" else 1
    task = torch.randint(len(mixture), (draws,), generator=generator)
    quantiles = torch.rand(draws, generator=generator, dtype=torch.float64)
    length = torch.zeros_like(task)
    for place, member in enumerate(mixture):
        length = torch.where(task == place, member.lengths_at(quantiles), length)
    if draw == "batch":
        task, length = task.expand(n), length.expand(n)
    drawn = [(member, length[rows]) for place, member in enumerate(mixture) if (rows := task == place).any()]
    true = [_sample(member, lengths, generator) for member, lengths in drawn]
    eos = mixture[0].task.vocabulary.eos
    parts = [
        part if member.targets == "true" else answered_by(part, _sample(member, lengths, generator), eos=eos)
        for part, (member, lengths) in zip(true, drawn, strict=True)
    ]
    whole = _stack(parts, eos)
    order = _widths(whole).argsort(stable=True)
    return Examples(Batch(whole.tokens[order], whole.scored[order]), task.sort(stable=True).values[order])


def _sample(member: Member, lengths: Int[Tensor, " n"], generator: Generator) -> Batch:
    """Training examples of a task with their own answers, one for each length."""
    return member.task.sample(len(lengths), length=lengths, generator=generator, stream="train")


def _widths(batch: Batch) -> Tensor:
    """Each example's tokens up to its last scored one. [batch]"""
    return batch.scored.long().cumsum(dim=1).argmax(dim=1) + 1


def _stack(parts: Sequence[Batch], eos: int) -> Batch:
    """All examples in one block, the shorter ones filled up behind with [EOS]."""
    longest = max(part.tokens.shape[1] for part in parts)

    def fill(rows: Tensor, value: int) -> Tensor:
        return torch.nn.functional.pad(rows, (0, longest - rows.shape[1]), value=value)

    tokens = torch.cat([fill(part.tokens, eos) for part in parts])
    return Batch(tokens, torch.cat([fill(part.scored, 0) for part in parts]))
