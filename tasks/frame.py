"""Between a task's own symbols and a model's tokens: where markers, prompt, answer and `[EOS]` stand in an example."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from tasks.batch import Batch
from tasks.errors import InvalidValueError
from tasks.ragged import Layout, Ragged, values_at
from tasks.vocabulary import Vocabulary

BOS = "[BOS]"
"""The start-of-sequence token of the markings that have one."""

END = "="
"""The symbol that ends every prompt; in Task Hinting's words the end-of-input token."""

Marking = Literal["start", "repeated", "none"]
"""How an example says which task it is.

    start      [copy]  q  W  e  =  q  W  e  [EOS]
    repeated   [BOS]  [copy] [copy] [copy] [copy]  q  W  e  =  [copy] [copy] [copy] [copy]  q  W  e  [EOS]
    none       [BOS]  q  W  e  =  q  W  e  [EOS]

`start`: the task's own start-of-sequence token. `repeated`: a letter of the task's own, four times before and four
times after the prompt, as an earlier code base of the first paper's authors has it. `none`: for tasks that their
prompts tell apart, or that have an unembedding each.
"""

REPEATS = 4
"""How often `repeated` repeats the marker on each side of the prompt."""


@dataclass(frozen=True)
class Frame:
    """Writes a task's examples as tokens of a vocabulary, and reads them back.

    Attributes:
        name: The task's name.
        marking: How examples say which task they are.
        symbols: The task's own symbols, in its own counting.
        vocabulary: The model's tokens.
        scores_end: Whether the `[EOS]` behind the answer is predicted and counted.
    """

    name: str
    marking: Marking
    symbols: tuple[str, ...]
    vocabulary: Vocabulary
    scores_end: bool

    @property
    def marker(self) -> str:
        """The task's own token."""
        return f"[{self.name}]"

    @property
    def lead(self) -> tuple[str, ...]:
        """The tokens before the prompt."""
        return {
            "start": (self.marker,),
            "repeated": (BOS, *(self.marker,) * REPEATS),
            "none": (BOS,),
        }[self.marking]

    @property
    def between(self) -> tuple[str, ...]:
        """The tokens between prompt and answer."""
        return (self.marker,) * REPEATS if self.marking == "repeated" else ()

    def write(self, layout: Layout) -> Batch:
        """Each row `lead prompt between body [EOS]`, filled up behind with `[EOS]`, in one block of tokens."""
        prompt, body = layout.prompt, layout.body
        starts = len(self.lead) + prompt.lengths + len(self.between)
        ends = (starts + body.lengths)[:, None]
        last = int(ends.max()) + 1  # one column more takes what no one reads
        ids = self._symbol_ids.to(prompt.values.device)
        tokens = torch.full((len(starts), last + 1), self.vocabulary.eos, device=ids.device)
        tokens[:, : len(self.lead)] = self.vocabulary.ids(self.lead).to(ids.device)
        room = tokens[:, len(self.lead) : len(self.lead) + prompt.values.shape[1]]
        given = prompt.counted[:, : room.shape[1]]
        room.copy_(torch.where(given, ids[prompt.values[:, : room.shape[1]]], room))
        places = torch.arange(body.values.shape[1], device=ids.device)
        at = torch.where(body.counted, starts[:, None] + places, last)
        tokens.scatter_(1, at, ids[body.values])
        if self.between:
            repeats = starts[:, None] - 1 - torch.arange(len(self.between), device=ids.device)
            tokens.scatter_(1, repeats, self.vocabulary.index[self.marker])
        scored = torch.zeros_like(tokens, dtype=torch.bool).scatter_(1, at, layout.scored)
        if self.scores_end:
            scored.scatter_(1, ends, True)
        return Batch(tokens[:, :last].contiguous(), scored[:, :last].contiguous())

    def read(self, batch: Batch) -> tuple[Ragged, Ragged]:
        """The prompts (up to the first `=`) and the bodies of written examples, in the task's own symbols.

        Raises:
            InvalidValueError: The examples are not this task's: they begin with other tokens, or have no `=`.
        """
        tokens, lead = batch.tokens, len(self.lead)
        own = torch.full((len(self.vocabulary),), -1, device=tokens.device)
        own[self._symbol_ids.to(tokens.device)] = torch.arange(len(self.symbols), device=tokens.device)
        ends = tokens == self.vocabulary.index[END]
        prompt_lengths = ends.int().argmax(dim=1) + 1 - lead
        prompt = Ragged(own[tokens[:, lead:]], prompt_lengths)
        starts = prompt_lengths[:, None] + lead + len(self.between)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        body_ends = ((tokens == self.vocabulary.eos) & (places >= starts)).int().argmax(dim=1)
        body = Ragged(values_at(own[tokens], starts + places), body_ends - starts[:, 0])
        expected = self.vocabulary.ids(self.lead).to(tokens.device)
        wrong = (tokens[:, :lead] != expected).any(dim=1) | ~ends.any(dim=1) | (body.lengths < 1)
        wrong |= ((prompt.values < 0) & prompt.counted).any(dim=1) | ((body.values < 0) & body.counted).any(dim=1)
        if bool(wrong.any()):
            text = self.vocabulary.decode(tokens[wrong][0])
            raise InvalidValueError(
                f"{text!r} is no example of {self.name!r}; one begins with {''.join(self.lead)} and has a {END!r}"
            )
        return Ragged(prompt.values.clamp(min=0), prompt_lengths), Ragged(body.values.clamp(min=0), body.lengths)

    @cached_property
    def _symbol_ids(self) -> Int[Tensor, " symbol"]:
        return self.vocabulary.ids(self.symbols)
