"""What the steps of a training read: drawn and packed step by step, ahead of time where another device computes."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tasks import Member
from training.config import TrainConfig
from training.mixture import Examples, draw_examples
from training.model import Packed, pack
from training.randomness import named_generator

WORKERS = 4
"""Processes that draw ahead for a GPU: one takes about as long to draw a step of `p1` as the GPU to compute it."""

MULTIPLES = (32, 8)
"""On a GPU, of the number of rows, so that few sizes have to be compiled, and of their length: fused attention takes
a mask as it is only if its rows are a multiple of eight long."""


@dataclass(frozen=True, eq=False)
class Part:
    """Examples that are read at once.

    Attributes:
        packed: The examples.
        targets: The scored tokens, example by example.
        task: Each scored token's task, as its place in the mixture.
    """

    packed: Packed
    targets: Int[Tensor, " scored"]
    task: Int[Tensor, " scored"]

    @classmethod
    def of(cls, examples: Examples, *, multiples: tuple[int, int] = (1, 1)) -> "Part":
        """Packs examples (`pack`)."""
        batch = examples.batch
        task = examples.task.repeat_interleave(batch.scored.sum(dim=1))
        return cls(pack(batch, multiples=multiples), batch.targets, task)

    def to(self, device: torch.device) -> "Part":
        """The same part on a device."""
        targets, task = (values.to(device, non_blocking=True) for values in (self.targets, self.task))
        return Part(self.packed.to(device), targets, task)

    def pin_memory(self) -> "Part":
        """The same part in memory that a GPU can read while the processor goes on."""
        return Part(self.packed.pin_memory(), self.targets.pin_memory(), self.task.pin_memory())


@dataclass(frozen=True, eq=False)
class StepExamples:
    """What one step reads.

    Attributes:
        parts: Its examples in parts, each within the token budget.
        examples: How many examples of each task they are [task].
        tokens: How many tokens the model has to read.
        scored: How many of them are scored.
    """

    parts: tuple[Part, ...]
    examples: Int[Tensor, " task"]
    tokens: int
    scored: int

    @classmethod
    def of(cls, drawn: Examples, *, tasks: int, token_budget: int, multiples: tuple[int, int]) -> "StepExamples":
        """Packs the examples of a step."""
        parts = tuple(Part.of(part, multiples=multiples) for part in drawn.within(token_budget))
        scored = sum(len(part.targets) for part in parts)
        return cls(parts, drawn.task.bincount(minlength=tasks), drawn.tokens, scored)

    def pin_memory(self) -> "StepExamples":
        """The same examples in memory that a GPU can read while the processor goes on."""
        return replace(self, parts=tuple(part.pin_memory() for part in self.parts))


def drawn_at(config: TrainConfig, mixture: Sequence[Member], step: int) -> Examples:
    """The examples of a step, which depend on the configuration and the step's number alone."""
    seed = config.seed if config.data_seed is None else config.data_seed
    generator = named_generator(seed, "train", step)
    return draw_examples(mixture, n=config.train.batch_size, generator=generator, draw=config.train.draw)


def read_at(
    config: TrainConfig, mixture: Sequence[Member], step: int, *, multiples: tuple[int, int] = (1, 1)
) -> StepExamples:
    """What a step reads, packed (`pack`)."""
    drawn, budget = drawn_at(config, mixture, step), config.train.token_budget
    return StepExamples.of(drawn, tasks=len(mixture), token_budget=budget, multiples=multiples)


def feed(
    config: TrainConfig, mixture: Sequence[Member], *, first: int, device: torch.device | str
) -> Iterator[StepExamples]:
    """What the steps from `first` to the last read, the same on every device.

    On a processor each is drawn when it is asked for. For any other device, processes draw ahead; one less than there
    are processors, and at most four; none in a process that may have no others below it, a sweep's worker.
    """
    steps = range(first, config.train.steps)
    if torch.device(device).type == "cpu":
        return (read_at(config, mixture, step) for step in steps)
    if multiprocessing.current_process().daemon:
        return (read_at(config, mixture, step, multiples=MULTIPLES) for step in steps)
    workers = min(WORKERS, max(1, (os.cpu_count() or 1) - 1))
    loader: DataLoader[StepExamples] = DataLoader(
        _Steps(config, mixture),
        sampler=steps,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4,
        generator=torch.Generator(),  # not the global one: processes are seeded by it, and draw from their own
        pin_memory=torch.device(device).type == "cuda",
    )
    return iter(loader)


class _Steps(Dataset[StepExamples]):
    """The steps as a data set."""

    def __init__(self, config: TrainConfig, mixture: Sequence[Member]) -> None:
        self.config, self.mixture = config, mixture

    def __getitem__(self, index: int) -> StepExamples:
        return read_at(self.config, self.mixture, index, multiples=MULTIPLES)
