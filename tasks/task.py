"""What a task is: a sampler of examples, an independent reference solution, and the tokens it speaks."""

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self, get_args

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.batch import Batch
from tasks.errors import InvalidValueError, unknown_name
from tasks.streams import SHARE, SMALLEST_SPACE, Stream, in_test_stream, symbol_codes
from tasks.vocabulary import EOS, Vocabulary

_REDRAWN = 2**17
"""About this many symbols are drawn at once while looking for prompts of the test stream: they stay in the cache."""


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths: row i counts up to `lengths[i]`; what stands behind are symbols that no one reads."""

    values: Int[Tensor, "batch pos"]
    lengths: Int[Tensor, " batch"]


@dataclass(frozen=True)
class Task(ABC):
    """One algorithmic task: `[marker] prompt answer [EOS]`, where the answer and [EOS] are scored.

    A subclass is a frozen dataclass whose fields are its parameters. It says its `symbols` (the tokens of prompts and
    answers), draws `prompts`, computes `answers` from them in torch, and, sharing no code with that, `solve`s one
    prompt in plain Python. Values are numbers into `symbols`; this class turns them into tokens of a vocabulary.

    Attributes:
        name: The task's name, which is also its marker, the first token of every example.
        version: Raised when what `sample` generates changes; part of every result's key.
        max_length: The greatest length that the task can make.
        summary: One line for `interp tasks`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    max_length: ClassVar[int] = 4096
    summary: ClassVar[str]

    @property
    @abstractmethod
    def symbols(self) -> tuple[str, ...]:
        """The tokens of prompts and answers, in the task's own counting."""

    @abstractmethod
    def prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        """Draws one prompt per requested length, as numbers into `symbols`.

        The block is as wide as the longest prompt that the lengths allow, drawn or not.
        """

    @abstractmethod
    def answers(self, prompts: Ragged, lengths: Int[Tensor, " batch"]) -> Ragged:
        """The answer to each prompt, as numbers into `symbols`."""

    @abstractmethod
    def prompt_space(self, length: int) -> int:
        """How many different prompts there are at a length."""

    @abstractmethod
    def solve(self, prompt: str) -> str:
        """The answer to a prompt, in plain Python, sharing no code with the sampler.

        Args:
            prompt: The prompt's text without the marker, for example `abl=`.

        Raises:
            InvalidValueError: The text is not a prompt of this task.
        """

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens that this task needs, or the larger vocabulary that it was bound to."""
        return Vocabulary((*self.symbols, EOS, self.marker))

    @cached_property
    def divided_from(self) -> int:
        """The smallest length from which on the train and the test stream are disjoint."""
        lengths = range(1, self.max_length + 1)
        return next((n for n in lengths if self.prompt_space(n) >= SMALLEST_SPACE), self.max_length + 1)

    @property
    def marker(self) -> str:
        """The task's own start-of-sequence token."""
        return f"[{self.name}]"

    @property
    def key(self) -> str:
        """A text that changes whenever what the task generates changes: its parameters and its version."""
        return f"{self!r}.v{self.version}"

    @property
    def parameters(self) -> dict[str, int | str]:
        """The task's own parameters, by which `get_task` makes it again."""
        return dataclasses.asdict(self)

    def bind(self, vocabulary: Vocabulary) -> Self:
        """The same task speaking a larger vocabulary, for a model that was trained on several tasks.

        Raises:
            InvalidValueError: The vocabulary lacks one of the task's tokens.
        """
        missing = [token for token in (*self.symbols, EOS, self.marker) if token not in vocabulary]
        if missing:
            has = " ".join(vocabulary.tokens)
            raise InvalidValueError(
                f"the vocabulary lacks {missing[0]!r}, which task {self.name!r} needs; it has {has}"
            )
        bound = dataclasses.replace(self)
        object.__setattr__(bound, "vocabulary", vocabulary)
        return bound

    def sample(
        self, n: int, *, length: int | Int[Tensor, " batch"], generator: Generator, stream: Stream = "all"
    ) -> Batch:
        """Draws examples, uniformly over the prompts of each length (within the stream).

        Prompts of the `train` and the `test` stream never meet, at every length that has at least 4,096 prompts
        (`tasks.streams`); shorter lengths have too few prompts to divide, and all streams draw from all of them.

        Args:
            n: How many examples; 0 makes an empty batch.
            length: One length for all of them, or one for each.
            generator: The only source of randomness; examples are made on its device.
            stream: `train`, `test` or `all`.

        Raises:
            InvalidValueError: A length below 1 or above `max_length`, lengths that are not n, or n below 0.
            UnknownNameError: No stream has that name.
        """
        if stream not in get_args(Stream):
            streams = get_args(Stream)
            raise unknown_name("stream", stream, streams, listing=f"the streams are {', '.join(streams)}")
        lengths = self._lengths(n, length, generator)
        prompts = self.prompts(lengths, generator=generator)
        if stream != "all":
            prompts = self._within(stream, prompts, lengths, generator)
        return self._assemble(prompts, self.answers(prompts, lengths))

    def prompt_and_answer(self, text: str) -> tuple[str, str]:
        """Splits an example's text, as `vocabulary.decode` writes it, into prompt and answer, without marker and [EOS].

        Raises:
            InvalidValueError: The text has no `=`.
        """
        body = text.removeprefix(self.marker).split(EOS)[0]
        prompt, equals, answer = body.partition("=")
        if not equals:
            raise InvalidValueError(f"{text!r} has no '=' between prompt and answer")
        return prompt + equals, answer

    def check_length(self, length: int) -> None:
        """Raises InvalidValueError unless the task can make examples of this length."""
        if not 1 <= length <= self.max_length:
            raise InvalidValueError(
                f"length {length} is not possible for task {self.name!r}; allowed are 1 to {self.max_length}"
            )

    @cached_property
    def _symbol_ids(self) -> Int[Tensor, " symbol"]:
        return self.vocabulary.ids(self.symbols)

    @cached_property
    def _symbol_codes(self) -> Int[Tensor, " symbol"]:
        return symbol_codes(self.symbols)

    def _lengths(self, n: int, length: int | Tensor, generator: Generator) -> Int[Tensor, " batch"]:
        if n < 0:
            raise InvalidValueError(f"{n} examples are not possible; allowed are 0 and more")
        if isinstance(length, Tensor):
            if tuple(length.shape) != (n,):
                raise InvalidValueError(f"length must be one number or {n}. Got shape {tuple(length.shape)}")
            if n:
                self.check_length(int(length.min()))
                self.check_length(int(length.max()))
            return length.to(generator.device, torch.int64)
        self.check_length(length)
        return torch.full((n,), length, dtype=torch.int64, device=generator.device)

    def _within(self, stream: Stream, prompts: Ragged, lengths: Tensor, generator: Generator) -> Ragged:
        """Draws anew the rows that belong to the other stream, until none is left."""
        values, counted = prompts.values.clone(), prompts.lengths.clone()
        divided = lengths >= self.divided_from
        rows = (divided & ~self._belongs(stream, prompts)).nonzero()[:, 0]
        while len(rows):
            tries = 1 if stream == "train" else max(1, min(SHARE, _REDRAWN // (len(rows) * values.shape[1])))
            again = self.prompts(lengths[rows].repeat(tries), generator=generator)
            good = self._belongs(stream, again).view(tries, -1)
            first = good.int().argmax(dim=0)
            chosen = first * len(rows) + torch.arange(len(rows), device=rows.device)
            values[rows, : again.values.shape[1]] = again.values[chosen]
            counted[rows] = again.lengths[chosen]
            rows = rows[~good.any(dim=0)]
        return Ragged(values, counted)

    def _belongs(self, stream: Stream, prompts: Ragged) -> Bool[Tensor, " batch"]:
        codes = self._symbol_codes.to(prompts.values.device)
        return in_test_stream(codes[prompts.values], prompts.lengths) ^ (stream == "train")

    def _assemble(self, prompts: Ragged, answers: Ragged) -> Batch:
        """Writes `[marker] prompt answer [EOS]`, row by row of its own length, into one block of tokens."""
        ids = self._symbol_ids.to(prompts.values.device)
        n, device = len(prompts.lengths), prompts.values.device
        starts = 1 + prompts.lengths[:, None]
        ends = starts + answers.lengths[:, None]
        positions = torch.arange(int(ends.max()) + 1 if n else 1, device=device)[None]
        prompt_at = (positions - 1).clamp(0, prompts.values.shape[1] - 1).expand(n, -1)
        answer_at = (positions - starts).clamp(0, answers.values.shape[1] - 1)
        body = torch.where(
            positions < starts, ids[prompts.values.gather(1, prompt_at)], ids[answers.values.gather(1, answer_at)]
        )
        tokens = torch.where(positions < ends, body, self.vocabulary.eos)
        tokens[:, 0] = self.vocabulary.index[self.marker]
        return Batch(tokens, (positions >= starts) & (positions <= ends))
