"""The training stream: examples of several tasks, task and length drawn for each, grouped by length without waste."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from tasks import Batch, Member


@dataclass(frozen=True)
class Bucket:
    """Examples of similar length, padded to the longest of them.

    Attributes:
        batch: The examples.
        task: Each example's task, as its place in the mixture.
    """

    batch: Batch
    task: Int[Tensor, " batch"]

    def within(self, budget: int) -> list["Bucket"]:
        """The same examples in parts of (nearly) equal numbers of them, each of at most `budget` tokens.

        One example is never divided, so a budget below an example's tokens gives parts of one example.
        """
        rows = max(1, budget // self.batch.inputs.shape[1])
        count = -(-len(self.task) // rows)
        if count == 1:
            return [self]
        parts = torch.arange(len(self.task)).tensor_split(count)
        return [Bucket(self.batch[int(part[0]) : int(part[-1]) + 1], self.task[part]) for part in parts]

    def to(self, device: torch.device) -> "Bucket":
        """The same bucket on a device."""
        return Bucket(self.batch.to(device), self.task.to(device))


def draw_buckets(
    mixture: Sequence[Member],
    *,
    n: int,
    buckets: int,
    generator: Generator,
    draw: Literal["example", "batch"] = "example",
) -> list[Bucket]:
    """Draws a batch of training examples, then divides it by length.

    Task uniform over the mixture, length as that task's lengths are distributed: drawn independently for each example
    (`example`; Extrapolation by Association, section 3), or once for all of them (`batch`). Attention is causal and the
    loss a sum over scored tokens, so dividing changes the gradient by rounding only; it saves the work on padding.

    Args:
        mixture: The tasks with their greatest lengths.
        n: Examples in the batch, over all buckets.
        buckets: How many buckets of (nearly) equal numbers of examples; at most n.
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
        task, length, buckets = task.expand(n), length.expand(n), 1
    parts = [
        member.task.sample(int(rows.sum()), length=length[rows], generator=generator, stream="train")
        for place, member in enumerate(mixture)
        if (rows := task == place).any()
    ]
    task = task.sort(stable=True).values
    whole = _stack(parts, mixture[0].task.vocabulary.eos)
    width = whole.scored.long().cumsum(dim=1).argmax(dim=1) + 1  # tokens up to the last scored one
    order = width.argsort(stable=True)
    return [_bucket(whole, task, width, rows) for rows in order.tensor_split(min(buckets, n))]


def _bucket(whole: Batch, task: Tensor, width: Tensor, rows: Tensor) -> Bucket:
    longest = int(width[rows].max())
    return Bucket(Batch(whole.tokens[rows, :longest], whole.scored[rows, :longest]), task[rows])


def _stack(parts: Sequence[Batch], eos: int) -> Batch:
    """All examples in one block, the shorter ones filled up behind with [EOS]."""
    longest = max(part.tokens.shape[1] for part in parts)

    def fill(rows: Tensor, value: int) -> Tensor:
        return torch.nn.functional.pad(rows, (0, longest - rows.shape[1]), value=value)

    tokens = torch.cat([fill(part.tokens, eos) for part in parts])
    return Batch(tokens, torch.cat([fill(part.scored, 0) for part in parts]))
