"""What a task is: a sampler of examples, an independent reference solution, and the tokens it speaks."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self, get_args

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.batch import Batch
from tasks.counterfactuals import find_counterfactuals, replace_one
from tasks.errors import InvalidValueError, unknown_name
from tasks.frame import BOS, END, Frame, Marking
from tasks.pair import Pair
from tasks.ragged import Layout, Ragged
from tasks.streams import SMALLEST_SPACE, Stream, in_test_stream, symbol_codes, within
from tasks.vocabulary import EOS, Vocabulary


@dataclass(frozen=True)
class Task(ABC):
    """One algorithmic task: `[marker] prompt answer [EOS]`, where the answer and [EOS] are scored.

    A subclass is a frozen dataclass whose fields are its parameters. It says its `symbols` (the tokens of prompts and
    answers), draws `prompts`, computes `answers` from them in torch, and, sharing no code with that, `solve`s one
    prompt in plain Python. Values are numbers into `symbols`; this class turns them into tokens of a vocabulary, finds
    counterfactuals and divides prompts into a training and a test stream. Every prompt ends with `=`, its only one.

    Attributes:
        marking: How an example says which task it is (`tasks.frame.Marking`).
        name: The task's name; in brackets, its marker.
        version: Raised when what `sample` generates changes; part of every result's key.
        summary: One line for `interp tasks`.
        min_length: The smallest length that the task can make.
        operands: How many lengths a training example draws, each on its own; the longest is the example's length.
        scores_end: Whether the `[EOS]` behind the answer is scored.
        changes: The kinds of counterfactual change that can be asked for; `any` is the smallest that alters the answer.
        origin: Where the class was found, `my_file.py:MyTask`, if it stands in a file of the user's own.
    """

    marking: Marking = dataclasses.field(default="start", kw_only=True)

    name: ClassVar[str]
    version: ClassVar[int] = 1
    summary: ClassVar[str]
    min_length: ClassVar[int] = 1
    operands: ClassVar[int] = 1
    scores_end: ClassVar[bool] = True
    changes: ClassVar[tuple[str, ...]] = ("any",)
    origin: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if self.marking not in get_args(Marking):
            listing = f"the markings are {', '.join(get_args(Marking))}"
            raise unknown_name("marking", self.marking, get_args(Marking), listing=listing)

    # ----------------------------------------------------------------------------------- what every task says of itself

    @property
    @abstractmethod
    def symbols(self) -> tuple[str, ...]:
        """The tokens of prompts and answers, in the task's own counting; `=` among them."""

    @abstractmethod
    def prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        """Draws one prompt per requested length, of which there is at least one, as numbers into `symbols`."""

    @abstractmethod
    def answers(self, prompts: Ragged) -> Ragged:
        """The answer to each prompt, both as numbers into `symbols`."""

    @abstractmethod
    def prompt_space(self, length: int) -> int:
        """How many different prompts there are at a length, or, where that is hard to say, that there are at least."""

    @abstractmethod
    def solve(self, prompt: str) -> str:
        """The answer to a prompt, in plain Python, sharing no code with the sampler.

        Args:
            prompt: The prompt's text without the marker, for example `abl=`.

        Raises:
            InvalidValueError: The text is not a prompt of this task.
        """

    # ----------------------------------------------------------------------------------------- what a task may say more

    @property
    def max_length(self) -> int:
        """The greatest length that the task can make."""
        return 4096

    def training_prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        """Draws prompts for training, where these have other forms than those for tests."""
        return self.prompts(lengths, generator=generator)

    def layout(self, prompts: Ragged) -> Layout:
        """Prompts and their answers as they stand in an example: the prompt, then the answer, all of it scored."""
        answers = self.answers(prompts)
        return Layout(prompts, answers, torch.ones_like(answers.values, dtype=torch.bool))

    def unlayout(self, prompt: Ragged, body: Ragged) -> Ragged:
        """The prompts of laid-out examples, from what stands up to the first `=` and what stands behind it."""
        return prompt

    @property
    def replaceable(self) -> tuple[str, ...]:
        """The symbols of prompts that may stand for one another in a counterfactual: all but `=`."""
        return tuple(symbol for symbol in self.symbols if symbol != END)

    def vary(self, prompts: Ragged, *, generator: Generator) -> Ragged:
        """Each prompt with one replacement: a replaceable symbol, chosen uniformly, becomes another one, uniformly."""
        kin = torch.tensor([self.symbols.index(symbol) for symbol in self.replaceable], device=generator.device)
        return replace_one(prompts, kin, generator=generator)

    def keeps(self, prompts: Ragged, changed: Ragged, *, change: str) -> Bool[Tensor, " batch"]:
        """Whether a changed prompt is a prompt of this task, and the change of the kind that is asked for."""
        return torch.ones(len(prompts.lengths), dtype=torch.bool, device=prompts.lengths.device)

    # --------------------------------------------------------------------------------------------- what users work with

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens that this task needs, or the larger vocabulary that it was bound to."""
        return Vocabulary(self._needed)

    @cached_property
    def divided_from(self) -> int:
        """The smallest length from which on the train and the test stream are disjoint."""
        lengths = range(self.min_length, self.max_length + 1)
        return next((n for n in lengths if self.prompt_space(n) >= SMALLEST_SPACE), self.max_length + 1)

    @property
    def marker(self) -> str:
        """The task's own token, in brackets."""
        return f"[{self.name}]"

    @property
    def source(self) -> str:
        """By which name `get_task` finds the task again, also in another process."""
        return self.origin or self.name

    @property
    def key(self) -> str:
        """A text that changes whenever what the task generates changes: its parameters and its version."""
        return f"{self!r}.v{self.version}"

    @property
    def parameters(self) -> dict[str, int | float | str]:
        """The task's own parameters, by which `get_task` makes it again."""
        return dataclasses.asdict(self)

    def bind(self, vocabulary: Vocabulary) -> Self:
        """The same task speaking a larger vocabulary, for a model that was trained on several tasks.

        Raises:
            InvalidValueError: The vocabulary lacks one of the task's tokens.
        """
        missing = [token for token in self._needed if token not in vocabulary]
        if missing:
            has = vocabulary.listing
            raise InvalidValueError(
                f"the vocabulary lacks {missing[0]!r}, which task {self.name!r} needs; it has {has}"
            )
        bound = dataclasses.replace(self)
        object.__setattr__(bound, "vocabulary", vocabulary)
        return bound

    def sample(
        self, n: int, *, length: int | Int[Tensor, " batch"], generator: Generator, stream: Stream = "all"
    ) -> Batch:
        """Draws examples; their prompts follow the task's own law at each length, within the stream.

        Prompts of the `train` and the `test` stream never meet, at every length from `divided_from` on: those with at
        least 4,096 prompts (`tasks.streams`); shorter lengths have too few prompts to divide, and all streams draw from
        all of them.

        Args:
            n: How many examples; 0 makes an empty batch.
            length: One length for all of them, or one for each.
            generator: The only source of randomness; examples are made on its device.
            stream: `train`, `test` or `all`.

        Raises:
            InvalidValueError: A length below `min_length` or above `max_length`, lengths that are not n, or n below 0.
            UnknownNameError: No stream has that name.
        """
        if stream not in get_args(Stream):
            streams = get_args(Stream)
            raise unknown_name("stream", stream, streams, listing=f"the streams are {', '.join(streams)}")
        lengths = self._lengths(n, length, generator)
        if not n:
            return self._nothing(generator.device)
        draw = self.training_prompts if stream == "train" else self.prompts
        prompts = draw(lengths, generator=generator)
        if stream != "all":
            others = ((lengths >= self.divided_from) & ~self._belongs(stream, prompts)).nonzero()[:, 0]
            prompts = within(
                stream,
                prompts,
                rows=others,
                belongs=lambda drawn: self._belongs(stream, drawn),
                draw=lambda rows: draw(lengths[rows], generator=generator),
            )
        return self._frame.write(self.layout(prompts))

    def examples(self, prompts: Sequence[str]) -> Batch:
        """The examples of given prompts, with their answers.

        Raises:
            InvalidValueError: A text that is not a prompt of this task.
        """
        for prompt in prompts:
            self.solve(prompt)
        if not prompts:
            return self._nothing(torch.device("cpu"))
        rows = [[self.symbols.index(piece) for piece in Vocabulary.pieces(prompt)] for prompt in prompts]
        values = torch.zeros((len(rows), max(map(len, rows))), dtype=torch.int64)
        for place, row in enumerate(rows):
            values[place, : len(row)] = torch.tensor(row)
        return self._frame.write(self.layout(Ragged(values, torch.tensor([len(row) for row in rows]))))

    def counterfactual(self, batch: Batch, *, generator: Generator, change: str = "any") -> Pair:
        """Examples as long whose prompts are changed as little as possible so that their answers differ.

        Answers as long as the original's come first, so that their places correspond: one symbol is replaced by another
        of its kind (a letter by a letter, a digit by a digit) if that leads to such an answer, else two; only then
        shorter and longer answers are tried, again with one replacement first. Both batches are filled up behind with
        [EOS] to one width.
        Counterfactuals are drawn from all prompts, those of the training stream included.

        Args:
            batch: Examples of this task, of any lengths.
            generator: The only source of randomness.
            change: One of the task's `changes`.

        Raises:
            InvalidValueError: The examples are not this task's, or one of them has no such counterfactual (all its
                neighbours have its answer).
            UnknownNameError: The task has no such kind of change.
        """
        if change not in self.changes:
            listing = f"task {self.name!r} has {', '.join(self.changes)}"
            raise unknown_name("kind of change", change, self.changes, listing=listing)
        if not len(batch):
            return Pair(batch, batch)
        prompts = self._prompts_of(batch)
        found, unfound = find_counterfactuals(self, prompts, change=change, generator=generator)
        if len(unfound):
            text = self.prompt_and_answer(self.vocabulary.decode(batch.tokens[int(unfound[0])]))[0]
            others = f" (and {len(unfound) - 1} more of {len(batch)})" if len(unfound) > 1 else ""
            raise InvalidValueError(
                f"{text!r}{others} has no counterfactual of kind {change!r} in task {self.name!r}: no small change of "
                "it has another answer; choose longer prompts, more symbols, or another kind of change"
            )
        return Pair.of(batch, self._frame.write(self.layout(found)), eos=self.vocabulary.eos)

    def prompt_and_answer(self, text: str) -> tuple[str, str]:
        """Splits an example's text, as `vocabulary.decode` writes it, into prompt and answer, without marker and [EOS].

        Raises:
            InvalidValueError: The text has no `=`.
        """
        body = text.replace(self.marker, "").removeprefix(BOS).split(EOS)[0]
        prompt, equals, answer = body.partition(END)
        if not equals:
            raise InvalidValueError(f"{text!r} has no '=' between prompt and answer")
        return prompt + equals, answer

    def check_length(self, length: int) -> None:
        """Raises InvalidValueError unless the task can make examples of this length."""
        if not (isinstance(length, int) and self.min_length <= length <= self.max_length):
            raise InvalidValueError(
                f"length {length!r} is not possible for task {self.name!r}; "
                f"allowed are {self.min_length} to {self.max_length}"
            )

    # ---------------------------------------------------------------------------------------------------------- private

    @property
    def _needed(self) -> tuple[str, ...]:
        special = {"start": (self.marker,), "repeated": (self.marker, BOS), "none": (BOS,)}[self.marking]
        return (*self.symbols, EOS, *special)

    @cached_property
    def _frame(self) -> Frame:
        return Frame(self.name, self.marking, self.symbols, self.vocabulary, self.scores_end)

    @cached_property
    def _symbol_codes(self) -> Int[Tensor, " symbol"]:
        return symbol_codes(self.symbols)

    def _lengths(self, n: int, length: int | Tensor, generator: Generator) -> Int[Tensor, " batch"]:
        if n < 0:
            raise InvalidValueError(f"{n} examples are not possible; allowed are 0 and more")
        if isinstance(length, Tensor):
            if length.is_floating_point():
                raise InvalidValueError(f"lengths are whole numbers. Got a tensor of {length.dtype}; use int64")
            if tuple(length.shape) != (n,):
                raise InvalidValueError(f"length must be one number or {n}. Got shape {tuple(length.shape)}")
            if n:
                self.check_length(int(length.min()))
                self.check_length(int(length.max()))
            return length.to(generator.device, torch.int64)
        self.check_length(length)
        return torch.full((n,), length, dtype=torch.int64, device=generator.device)

    def _prompts_of(self, batch: Batch) -> Ragged:
        """The prompts of examples that this task, bound to this vocabulary, could have written."""
        prompts = self.unlayout(*self._frame.read(batch))
        written = Pair.widened(self._frame.write(self.layout(prompts)), batch.tokens.shape[1], eos=self.vocabulary.eos)
        wrong = ((written.tokens != batch.tokens) | (written.scored != batch.scored)).any(dim=1).nonzero()[:, 0]
        if len(wrong):
            text = self.vocabulary.decode(batch.tokens[int(wrong[0])])
            raise InvalidValueError(
                f"{text!r} is no example of {self.name!r}, which would write "
                f"{self.vocabulary.decode(written.tokens[int(wrong[0])])!r}; give examples of this task"
            )
        return prompts

    def _nothing(self, device: torch.device) -> Batch:
        empty = torch.empty((0, 1), dtype=torch.int64, device=device)
        return Batch(empty, torch.zeros_like(empty, dtype=torch.bool))

    def _belongs(self, stream: Stream, prompts: Ragged) -> Bool[Tensor, " batch"]:
        codes = self._symbol_codes.to(prompts.values.device)
        return in_test_stream(codes[prompts.values], prompts.lengths) ^ (stream == "train")
