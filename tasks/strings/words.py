"""String tasks: a word, `=`, and the word changed letter by letter, in order or reversed.

    tokens   [capitalize_reverse]  q  W  e  =  E  w  Q  [EOS]
    scored            .            .  .  .  .  x  x  x    x

Source: Extrapolation by Association, section 3 (string manipulation); `shift` is ours.
"""

import string
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from tasks.errors import InvalidValueError
from tasks.ragged import Ragged
from tasks.task import Task


@dataclass(frozen=True)
class StringTask(Task):
    """A task on words: the prompt is a word and `=`, the answer a word of the same length.

    Length is the number of letters of the word; letters are drawn uniformly and independently.

    Attributes:
        alphabet: How many letters are in use, from `a`: 2 to 26.
        case: `both` draws lower and upper case, as the paper does; `lower` only lower case.

    Raises:
        InvalidValueError: An alphabet outside 2..26, or a case that the task cannot work with.
    """

    alphabet: int = 26
    case: Literal["both", "lower"] = "both"

    cases: ClassVar[tuple[str, ...]] = ("both", "lower")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.alphabet, int) or not 2 <= self.alphabet <= 26:
            raise InvalidValueError(
                f"alphabet {self.alphabet!r} is not possible for {self.name!r}; allowed are 2 to 26"
            )
        if self.case not in self.cases:
            allowed = " or ".join(repr(case) for case in self.cases)
            raise InvalidValueError(f"case {self.case!r} is not possible for {self.name!r}; allowed is {allowed}")

    @property
    def letters(self) -> str:
        """The letters in use: lower case, then, if `case` is `both`, upper case in the same order."""
        lower = string.ascii_lowercase[: self.alphabet]
        return lower + lower.upper() if self.case == "both" else lower

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*self.letters, "=")

    def prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        longest = int(lengths.max())
        count = len(self.letters)
        words = torch.randint(count, (len(lengths), longest + 1), generator=generator, device=lengths.device)
        places = torch.arange(longest + 1, device=lengths.device)
        return Ragged(torch.where(places == lengths[:, None], count, words), lengths + 1)

    def answers(self, prompts: Ragged) -> Ragged:
        lengths = prompts.lengths - 1
        return Ragged(self.rewrite(prompts.values, lengths), lengths)

    def prompt_space(self, length: int) -> int:
        return len(self.letters) ** length

    def rewrite(self, words: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]) -> Int[Tensor, "batch pos"]:
        """The answers' letters, given the words', both as numbers into `letters`; beyond the length arbitrary."""
        raise NotImplementedError

    def _word(self, prompt: str) -> str:
        """The word of a prompt, checked, for `solve`."""
        if not prompt.endswith("=") or not prompt[:-1]:
            raise InvalidValueError(f"{prompt!r} is no prompt of {self.name!r}; one looks like {self.letters[:3]}=")
        strange = [letter for letter in prompt[:-1] if letter not in self.letters]
        if strange:
            raise InvalidValueError(f"{strange[0]!r} is not in the alphabet of {self.name!r}, {self.letters!r}")
        self.check_length(max(len(prompt) - 1, self.min_length))
        return prompt[:-1]


def _reversed(words: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]) -> Int[Tensor, "batch pos"]:
    places = torch.arange(words.shape[1], device=words.device)
    return words.gather(1, (lengths[:, None] - 1 - places).clamp(min=0))


@dataclass(frozen=True)
class Copy(StringTask):
    """The word as it is: `qWe=` -> `qWe`."""

    name = "copy"
    summary = "qWe= -> qWe: the word as it is"

    def rewrite(self, words: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]) -> Int[Tensor, "batch pos"]:
        return words % len(self.letters)

    def solve(self, prompt: str) -> str:
        return self._word(prompt)


@dataclass(frozen=True)
class Shift(StringTask):
    """Each letter replaced by its successor in the alphabet, cyclic, its case kept: `qWz=` -> `rXa`."""

    name = "shift"
    summary = "qWz= -> rXa: each letter replaced by the next of the alphabet, cyclic"

    def rewrite(self, words: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]) -> Int[Tensor, "batch pos"]:
        upper = (words >= self.alphabet).long() * self.alphabet
        return ((words - upper + 1) % self.alphabet + upper) % len(self.letters)

    def solve(self, prompt: str) -> str:
        lower = "abcdefghijklmnopqrstuvwxyz"[: self.alphabet]
        following = dict(zip(lower, lower[1:] + lower[0], strict=True))
        return "".join(
            following[letter] if letter in following else following[letter.lower()].upper()
            for letter in self._word(prompt)
        )


@dataclass(frozen=True)
class Reverse(StringTask):
    """The word backwards: `qWe=` -> `eWq`."""

    name = "reverse"
    summary = "qWe= -> eWq: the word backwards"

    def rewrite(self, words: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]) -> Int[Tensor, "batch pos"]:
        return _reversed(words, lengths) % len(self.letters)

    def solve(self, prompt: str) -> str:
        return self._word(prompt)[::-1]


@dataclass(frozen=True)
class Capitalize(StringTask):
    """The case of every letter flipped: `qWe=` -> `QwE`."""

    name = "capitalize"
    summary = "qWe= -> QwE: the case of every letter flipped"
    cases: ClassVar[tuple[str, ...]] = ("both",)

    def rewrite(self, words: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]) -> Int[Tensor, "batch pos"]:
        return (words + self.alphabet) % len(self.letters)

    def solve(self, prompt: str) -> str:
        return self._word(prompt).swapcase()


@dataclass(frozen=True)
class CapitalizeReverse(StringTask):
    """The word backwards with the case of every letter flipped: `qWe=` -> `EwQ`."""

    name = "capitalize_reverse"
    summary = "qWe= -> EwQ: the word backwards, the case of every letter flipped"
    cases: ClassVar[tuple[str, ...]] = ("both",)

    def rewrite(self, words: Int[Tensor, "batch pos"], lengths: Int[Tensor, " batch"]) -> Int[Tensor, "batch pos"]:
        return (_reversed(words, lengths) + self.alphabet) % len(self.letters)

    def solve(self, prompt: str) -> str:
        return "".join(letter.swapcase() for letter in reversed(self._word(prompt)))
