"""The examples that an analysis runs on: clean ones, perhaps beside their counterfactuals."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Generator as TorchGenerator

from analyses.journal import Journal, Record
from analyses.metrics import Metric
from tasks import Batch, InvalidValueError, Pair, Task
from training import HookedTransformer, ModelConfig

TOKEN_BUDGET, GPU_TOKEN_BUDGET = 4096, 2**17
"""Tokens run at a time, on a processor, where larger stacks leave the cache, and on a GPU (docs/benchmarks.md)."""


@dataclass(frozen=True)
class Running:
    """How long work is divided, followed and kept.

    Attributes:
        token_budget: The most tokens run at a time, however many interventions they stem from (at least one example);
            "fitting" is what suits the model's device.
        on_done: Called with the number of runs of one example that are done and to do.
        journal: Keeps what is done on disk, if it is given, so that an interrupted call goes on.
    """

    token_budget: int | Literal["fitting"] = "fitting"
    on_done: Callable[[int, int], object] = lambda *_: None
    journal: Journal | None = None

    def __post_init__(self) -> None:
        if self.token_budget != "fitting" and self.token_budget < 1:
            raise InvalidValueError(
                f"token_budget = {self.token_budget} is not possible; allowed is 1 or more, or 'fitting'"
            )

    def tokens(self, device: torch.device) -> int:
        """The token budget on a device."""
        if self.token_budget == "fitting":
            return TOKEN_BUDGET if device.type == "cpu" else GPU_TOKEN_BUDGET
        return self.token_budget

    @contextmanager
    def keeping(self, empty: Record) -> Generator[Record, None, None]:
        """The record to fill: the journal's, if it has one; it is kept if the block ends early."""
        if self.journal is None:
            yield empty
            return
        record = self.journal.read(empty)
        with self.journal.keeping(record):
            yield record

    def note(self, record: Record) -> None:
        """Tells the journal, if there is one, that the record has grown."""
        if self.journal is not None:
            self.journal.note(record)


AT_ONCE = Running()
"""All of it in this call, followed by no one."""


@dataclass(frozen=True)
class Examples:
    """Clean examples, and what they are compared with.

    Attributes:
        clean: The examples whose answers are the right ones. Their prompts have one length, so that positions align.
        counterfactual: The same examples changed, with other answers, if there are any.
        task_head: Which unembedding to use, if the model has one for each task.

    Raises:
        InvalidValueError: No examples, prompts of different lengths, or batches of different shapes.
    """

    clean: Batch
    counterfactual: Batch | None = None
    task_head: int = 0

    def __post_init__(self) -> None:
        if not len(self.clean):
            raise InvalidValueError("there are 0 examples; use n >= 1, or n >= 2 for a mean over them")
        if self.counterfactual is not None and self.counterfactual.tokens.shape != self.clean.tokens.shape:
            raise InvalidValueError(
                "clean and counterfactual examples must have one shape. "
                f"Got {tuple(self.clean.tokens.shape)} and {tuple(self.counterfactual.tokens.shape)}; "
                "pair them with task.counterfactual or Pair.of"
            )
        if self.counterfactual is not None:
            same = (self.counterfactual.tokens == self.clean.tokens).all(dim=1).nonzero()[:, 0].tolist()
            if same:
                raise InvalidValueError(
                    f"the counterfactual of example {same[0]} is the example itself; use task.counterfactual"
                )
        sides = [self.clean] if self.counterfactual is None else [self.clean, self.counterfactual]
        starts = torch.cat([side.scored.int().argmax(dim=1) for side in sides])
        if not bool((starts == starts[0]).all()):
            raise InvalidValueError(
                "the prompts have different lengths, so their positions do not align; use one length"
            )

    def check_model(self, model: HookedTransformer, *, before: str) -> None:
        """Raises InvalidValueError if the model has hooks attached, or lacks the unembedding that is meant."""
        if model.is_hooked:
            raise InvalidValueError(
                f"the model has hooks attached; remove them with model.reset_hooks() before {before}"
            )
        self.check_task_head(model.config)

    def check_task_head(self, config: ModelConfig) -> None:
        """Raises InvalidValueError unless the model has the unembedding that is meant."""
        if not 0 <= self.task_head < config.task_heads:
            raise InvalidValueError(
                f"task head {self.task_head} does not exist: the model has {config.task_heads}, counted from 0"
            )

    def check_answers_differ(self) -> None:
        """Raises InvalidValueError if an example's counterfactual has the same answer, or there are none."""
        if self.counterfactual is None:
            raise InvalidValueError("the examples have no counterfactuals to compare with; give them")
        both = self.clean.scored & self.counterfactual.scored
        same = (~(both & (self.clean.tokens != self.counterfactual.tokens)).any(dim=1)).nonzero()[:, 0].tolist()
        if same:
            raise InvalidValueError(
                f"the counterfactual of example {same[0]} has the same answer, so there is nothing to compare; "
                "use task.counterfactual, which changes the answer"
            )

    def check_metrics(self, metrics: Sequence[Metric]) -> None:
        """Raises InvalidValueError unless there are metrics, of different names, that these examples can be read by."""
        names = [metric.name for metric in metrics]
        twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
        if twice is not None:
            raise InvalidValueError(
                f"two metrics are named {twice!r}; name each its own way, with Metric.of(..., name=...)"
            )
        if not names:
            raise InvalidValueError("there is no metric to measure; name at least one")
        for metric in metrics:
            metric.check(counterfactual=self.counterfactual is not None)
        if any(metric.reads == "counterfactual" for metric in metrics):
            self.check_answers_differ()

    @classmethod
    def of_pair(cls, pair: Pair, *, task_head: int = 0) -> Self:
        """The examples of a pair of batches."""
        return cls(pair.clean, pair.counterfactual, task_head)

    @classmethod
    def drawn(
        cls, model: HookedTransformer, task: Task, *, length: int, n: int, generator: TorchGenerator, task_head: int
    ) -> Self:
        """Test examples of a task, speaking the model's vocabulary.

        Raises:
            InvalidValueError: n below 1, a length that the task cannot make, a vocabulary without the task's tokens.
        """
        return cls(_sampled(model, task, length, n, generator), None, task_head)

    @classmethod
    def drawn_in_pairs(
        cls, model: HookedTransformer, task: Task, *, length: int, n: int, generator: TorchGenerator, task_head: int
    ) -> Self:
        """The same, and then their counterfactuals from the same generator.

        Raises:
            InvalidValueError: As `drawn`; an example that has no counterfactual.
        """
        batch = _sampled(model, task, length, n, generator)
        pair = task.bind(model.vocabulary).counterfactual(batch, generator=generator)
        return cls.of_pair(pair, task_head=task_head)

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def width(self) -> int:
        """How many tokens the model reads of each."""
        return self.clean.inputs.shape[1]


def _sampled(model: HookedTransformer, task: Task, length: int, n: int, generator: TorchGenerator) -> Batch:
    if n < 1:
        raise InvalidValueError(f"n = {n} examples cannot be measured; allowed is 1 or more")
    return task.bind(model.vocabulary).sample(n, length=length, generator=generator, stream="test")
