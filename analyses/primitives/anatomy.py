"""Where the parts of an example stand: the symbols of the prompt, the end of the input, the answer."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from tasks import Batch, Task
from tasks.frame import END, Frame
from tasks.sorting.numbers import SEPARATOR, NumberTask

NO_VALUE = -1
"""The value of a token that is no number."""


@dataclass(frozen=True)
class Anatomy:
    """The positions of what the model reads, by what stands there.

        tokens     [sort]  [5] [3] [9]  =  [3] [5] [9] [EOS]
        symbols       .     x   x   x   .   .   .   .
        end           .     .   .   .   x   .   .   .
        answer        .     .   .   .   .   x   x   x

    Attributes:
        tokens: The tokens read.
        symbols: True at the prompt's own symbols, without markers and the `=`.
        sequence: The same up to the first `,`, for tasks on numbers; else all symbols.
        end: True at the one position that predicts the first scored token: the end of the input.
        answer: True behind it, up to the last position that predicts a scored token.
        values: For tasks on numbers, the number less one; `NO_VALUE` at other tokens.
    """

    tokens: Int[Tensor, "batch input"]
    symbols: Bool[Tensor, "batch input"]
    sequence: Bool[Tensor, "batch input"]
    end: Bool[Tensor, "batch input"]
    answer: Bool[Tensor, "batch input"]
    values: Int[Tensor, "batch input"]

    @classmethod
    def of(cls, task: Task, batch: Batch) -> "Anatomy":
        """Examples of a task taken apart; the task speaks the vocabulary that they are written in."""
        tokens, predicting, vocabulary = batch.inputs, batch.predicting, task.vocabulary
        place = torch.arange(tokens.shape[1], device=tokens.device)
        lead = len(Frame(task.name, task.marking, task.symbols, vocabulary, task.scores_end).lead)
        first_end = (tokens == vocabulary.index[END]).int().argmax(dim=1, keepdim=True)
        symbols = (place >= lead) & (place < first_end)
        sequence, values = symbols, torch.full_like(tokens, NO_VALUE)
        if isinstance(task, NumberTask):
            behind = (tokens == vocabulary.index[SEPARATOR]) if SEPARATOR in vocabulary else torch.zeros_like(symbols)
            sequence = symbols & (behind.cumsum(dim=1) == 0)
            order = torch.full((len(vocabulary),), NO_VALUE, device=tokens.device)
            numbers = vocabulary.ids(task.replaceable).to(tokens.device)
            order[numbers] = torch.arange(len(numbers), device=tokens.device)
            values = order[tokens]
        first = predicting.int().argmax(dim=1, keepdim=True)
        last = predicting.shape[1] - 1 - predicting.flip(1).int().argmax(dim=1, keepdim=True)
        return cls(tokens, symbols, sequence, place == first, (place > first) & (place <= last), values)

    @property
    def visible(self) -> Bool[Tensor, "query key"]:
        """True where a query sees a key: at its own position and before."""
        width = self.tokens.shape[1]
        return torch.ones(width, width, dtype=torch.bool, device=self.tokens.device).tril()

    @property
    def own(self) -> Bool[Tensor, "query key"]:
        """True at a query's own position."""
        return torch.eye(self.tokens.shape[1], dtype=torch.bool, device=self.tokens.device)

    def at(self, places: Int[Tensor, "batch input"]) -> Bool[Tensor, "batch query key"]:
        """True at one key of each query; places outside what is read are none."""
        return places[..., None] == torch.arange(self.tokens.shape[1], device=places.device)

    @property
    def following(self) -> Int[Tensor, "batch input"]:
        """At each position, the least value of the sequence above the value that is asked about, of what is seen.

        Asked about is the token's own value; at the end of the input, where a query stands before the `=`, the query's.
        The value is that of no number where there is none: larger than all.
        """
        seen = self.sequence[:, None] & self.visible
        larger = seen & (self.values[:, None] > self.asked[..., None]) & (self.asked[..., None] != NO_VALUE)
        none = self.none
        return torch.where(larger, self.values[:, None], none).amin(dim=-1)

    @property
    def asked(self) -> Int[Tensor, "batch input"]:
        """The value that each position asks about: its own, and at the end of the input that of a query before it."""
        queried = (self.symbols & ~self.sequence & (self.values != NO_VALUE)).any(dim=1, keepdim=True)
        query = torch.where(self.symbols & ~self.sequence, self.values, NO_VALUE).amax(dim=1, keepdim=True)
        return torch.where(self.end & queried, query, self.values)

    @property
    def least(self) -> Int[Tensor, "batch input"]:
        """The least value of the sequence that each position sees; larger than all where it sees none."""
        values = torch.where(self.sequence, self.values, self.none)
        return values.cummin(dim=1).values

    @property
    def none(self) -> int:
        """A value above that of every number."""
        return int(self.values.max()) + 1


def number_ranks(task: Task, maps: Int[Tensor, "draw vocab"]) -> Int[Tensor, "draw value"]:
    """The rank of each value in the order of the renamed numbers."""
    numbers = task.vocabulary.ids(task.replaceable).to(maps.device)
    return maps[:, numbers].argsort(dim=1).argsort(dim=1)


def seen_values(parts: Anatomy, applies: Bool[Tensor, "batch query"]) -> Int[Tensor, "use key"]:
    """The values of the sequence that each use sees; `NO_VALUE` at other keys."""
    examples, queries = applies.nonzero().T
    seen = parts.sequence[examples] & parts.visible[queries]
    return torch.where(seen, parts.values[examples], NO_VALUE)
