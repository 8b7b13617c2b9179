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
        prompt, body, device = layout.prompt, layout.body, layout.prompt.values.device
        ids = self._symbol_ids.to(device)
        prompt_end = len(self.lead) + prompt.lengths[:, None]
        starts = prompt_end + len(self.between)
        ends = starts + body.lengths[:, None]
        n = len(prompt.lengths)
        positions = torch.arange(int(ends.max()) + 1, device=device)[None].expand(n, -1)
        before = values_at(ids[prompt.values], positions - len(self.lead))
        behind = positions - starts
        tokens = torch.where(positions < prompt_end, before, values_at(ids[body.values], behind))
        tokens = torch.where(positions < ends, tokens, self.vocabulary.eos)
        index = self.vocabulary.index
        for place, token in enumerate(self.lead):
            tokens[:, place] = index[token]
        if self.between:
            tokens = torch.where((positions >= prompt_end) & (positions < starts), index[self.marker], tokens)
        scored = (positions >= starts) & (positions < ends) & values_at(layout.scored.long(), behind).bool()
        return Batch(tokens, scored | (positions == ends) if self.scores_end else scored)

    def read(self, batch: Batch) -> tuple[Ragged, Ragged]:
        """The prompts (up to the first `=`) and the bodies of written examples, in the task's own symbols.

        Raises:
            InvalidValueError: The examples are not this task's: they begin with other tokens, or have no `=`.
        """
        tokens, lead = batch.tokens, len(self.lead)
        expected = self.vocabulary.ids(self.lead).to(tokens.device)
        ends = tokens == self.vocabulary.index[END]
        wrong = (tokens[:, :lead] != expected).any(dim=1) | ~ends.any(dim=1)
        if bool(wrong.any()):
            text = self.vocabulary.decode(tokens[wrong][0])
            raise InvalidValueError(
                f"{text!r} is no example of {self.name!r}; one begins with {''.join(self.lead)} and has a {END!r}"
            )
        own = torch.zeros(len(self.vocabulary), dtype=torch.int64, device=tokens.device)
        own[self._symbol_ids.to(tokens.device)] = torch.arange(len(self.symbols), device=tokens.device)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        prompt_lengths = ends.int().argmax(dim=1) + 1 - lead
        starts = prompt_lengths[:, None] + lead + len(self.between)
        finished = (tokens == self.vocabulary.eos) & (places >= starts)
        body_lengths = finished.int().argmax(dim=1) - starts[:, 0]
        body = values_at(own[tokens], starts + places)
        return Ragged(own[tokens[:, lead:]], prompt_lengths), Ragged(body, body_lengths)

    @cached_property
    def _symbol_ids(self) -> Int[Tensor, " symbol"]:
        return self.vocabulary.ids(self.symbols)
