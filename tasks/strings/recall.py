"""Multi-query associative recall.

    tokens   [mqar]  q  W  e  r  T  =  W  e  r  ,  q  W  e  [EOS]
    scored      .    .  .  .  .  .  .  .  .  x  .  .  .  x    .

The layout is ours, the paper's is not recoverable: the string, `=`, then the queries, each followed by its answer, with
`,` between them. Only answers are scored; the other tokens behind `=` are given, in evaluation too.

Source: Extrapolation by Association, section 3 (string manipulation).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from tasks.errors import InvalidValueError
from tasks.frame import END
from tasks.ragged import Layout, Ragged, values_at
from tasks.strings.words import StringTask

COMMA = ","


@dataclass(frozen=True)
class Recall:
    """Prompts taken apart.

    Attributes:
        word: The strings.
        query: How many letters a query has.
        count: How many queries there are.
        starts: Where each query occurs first in the string; beyond `count`, any place.
    """

    word: Ragged
    query: Int[Tensor, "batch 1"]
    count: Int[Tensor, " batch"]
    starts: Int[Tensor, "batch query"]

    @property
    def asked(self) -> Bool[Tensor, "batch query"]:
        """Which of the numbers of queries each prompt has."""
        return torch.arange(self.starts.shape[1], device=self.count.device) < self.count[:, None]

    @property
    def answers(self) -> Ragged:
        """The letter behind each query's first occurrence."""
        return Ragged(values_at(self.word.values, self.starts + self.query), self.count)


@dataclass(frozen=True)
class Mqar(StringTask):
    """What follows each query in the string, where the query occurs first: `qWerT=We,qW` -> `re`.

    Length is the number of letters of the string. Queries are different substrings of it, drawn uniformly; strings too
    short or too repetitive for as many as asked for have fewer, and in strings of no more than `query` letters queries
    are one letter shorter than the string.

    Attributes:
        query: Letters of a query, 1 to 8.
        queries: How many queries an example has, 1 to 64.

    Raises:
        InvalidValueError: `query` or `queries` outside its range; what `StringTask` refuses.
    """

    query: int = 2
    queries: int = 8

    name = "mqar"
    summary = "qWerT=We,qW -> re: after each query, the letter that follows it in the string"
    min_length: ClassVar[int] = 2
    scores_end: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, most in (("query", 8), ("queries", 64)):
            value = getattr(self, field)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise InvalidValueError(f"{field} = {value!r} is not possible for 'mqar'; allowed are 1 to {most}")

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*self.letters, END, COMMA)

    def prompts(self, lengths: Int[Tensor, " batch"], *, generator: Generator) -> Ragged:
        written = super().prompts(lengths, generator=generator)
        word = Ragged(written.values[:, :-1], lengths)
        first = self._first_occurrences(word)
        order = torch.rand(first.shape, generator=generator, device=lengths.device).masked_fill(~first, 2.0)
        starts = order.topk(min(self.queries, order.shape[1]), largest=False, sorted=True).indices
        return self._with_queries(written, word, starts, first.sum(dim=1).clamp(max=self.queries))

    def answers(self, prompts: Ragged) -> Ragged:
        return self.read(prompts).answers

    def layout(self, prompts: Ragged) -> Layout:
        recall = self.read(prompts)
        word, query = recall.word, recall.query
        places = torch.arange(self.queries * (self.query + 2), device=query.device)
        number, within = places // (query + 2), places % (query + 2)
        given = values_at(prompts.values, word.lengths[:, None] + 1 + number * (query + 1) + within)
        answers = values_at(recall.answers.values, number)
        body = torch.where(within < query, given, torch.where(within == query, answers, self._comma))
        lengths = recall.count * (query[:, 0] + 2) - 1
        return Layout(Ragged(prompts.values, word.lengths + 1), Ragged(body, lengths), within == query)

    def read(self, prompts: Ragged) -> Recall:
        """The strings and queries of prompts."""
        lengths = (prompts.values == self.symbols.index(END)).int().argmax(dim=1)
        word = Ragged(prompts.values[:, : int(lengths.max())], lengths)
        query = self._query_length(lengths)[:, None]
        begins = lengths[:, None] + 1 + torch.arange(self.queries, device=query.device) * (query + 1)
        codes = values_at(prompts.values, begins)
        for offset in range(1, self.query):
            weight = torch.where(offset < query, len(self.letters) ** offset, 0)
            codes = codes + values_at(prompts.values, begins + offset) * weight
        starts = (self._substrings(word)[:, None] == codes[:, :, None]).int().argmax(dim=2)
        return Recall(word, query, (prompts.lengths - lengths) // (query[:, 0] + 1), starts)

    def unlayout(self, prompt: Ragged, body: Ragged) -> Ragged:
        length = prompt.lengths[:, None] - 1
        query = self._query_length(length)
        count = (body.lengths[:, None] + 1) // (query + 2)
        places = torch.arange(prompt.values.shape[1] + self.queries * (self.query + 1), device=length.device)
        behind = (places - length - 1).clamp(min=0)
        number, within = behind // (query + 1), behind % (query + 1)
        asked = torch.where(within < query, values_at(body.values, number * (query + 2) + within), self._comma)
        values = torch.where(places <= length, values_at(prompt.values, places.expand(len(length), -1)), asked)
        return Ragged(values, (length + count * (query + 1))[:, 0])

    def vary(self, prompts: Ragged, *, generator: Generator) -> Ragged:
        """Each prompt with another letter at one place of the string, and in the queries that contain that place.

        The place lies in a query, where that occurs first, or directly behind: no other letter says what is answered.
        Half of the replacements are behind a query and in none, where they alter one answer and no query.
        """
        recall = self.read(prompts)
        word, starts, query, device = recall.word, recall.starts, recall.query, prompts.values.device
        behind = torch.rand(query.shape, generator=generator, device=device) < 0.5
        allowed = torch.where(behind, self._alone(recall), recall.asked)
        weights = torch.rand(starts.shape, generator=generator, device=device)
        number = torch.where(allowed, weights, -1.0).argmax(dim=1, keepdim=True)
        offset = (torch.rand(query.shape, generator=generator, device=device) * (query + 1)).long()
        place = starts.gather(1, number) + torch.where(behind, query, offset)
        step = torch.randint(1, len(self.letters), place.shape, generator=generator, device=device)
        new = (word.values.gather(1, place) + step) % len(self.letters)
        changed = Ragged(word.values.scatter(1, place, new), word.lengths)
        written = Ragged(prompts.values.scatter(1, place, new), prompts.lengths)
        again = self._with_queries(written, changed, starts, recall.count)
        missing = prompts.values.shape[1] - again.values.shape[1]
        return Ragged(torch.nn.functional.pad(again.values, (0, missing)), prompts.lengths)

    def keeps(self, prompts: Ragged, changed: Ragged, *, change: str) -> Bool[Tensor, " batch"]:
        """Whether each query still occurs first where it did; so different queries stay different."""
        recall = self.read(prompts)
        return (~recall.asked | (recall.starts == self.read(changed).starts)).all(dim=1)

    def solve(self, prompt: str) -> str:
        word, equals, asked = prompt.partition("=")
        if not equals or len(word) < 2 or not asked:
            word = (self.letters * 2)[:3]  # of two letters: aba
            example = f"{word}={word[: min(2, self.query)]}"
            raise InvalidValueError(f"{prompt!r} is no prompt of 'mqar'; one looks like {example}")
        word, length, queries = self._word(word + "="), min(self.query, len(word) - 1), asked.split(",")
        if len(queries) > self.queries:
            raise InvalidValueError(f"{prompt!r} has {len(queries)} queries; allowed are 1 to {self.queries}")
        answers = []
        for query in queries:
            place = word.find(query)
            if len(query) != length or not 0 <= place < len(word) - length:
                raise InvalidValueError(
                    f"query {query!r} of {prompt!r} is not possible; allowed are {length} letters that occur "
                    f"in {word!r} with a letter behind them"
                )
            answers.append(word[place + length])
        return "".join(answers)

    def prompt_and_answer(self, text: str) -> tuple[str, str]:
        prompt, body = super().prompt_and_answer(text)
        pieces = body.split(COMMA)
        return prompt + COMMA.join(piece[:-1] for piece in pieces), "".join(piece[-1:] for piece in pieces)

    @property
    def _comma(self) -> int:
        return self.symbols.index(COMMA)

    def _query_length(self, lengths: Tensor) -> Tensor:
        return (lengths - 1).clamp(max=self.query)

    def _alone(self, recall: Recall) -> Bool[Tensor, "batch query"]:
        """Which queries are followed by a letter that is in no query, where these occur first; the last one always."""
        word, starts, asked, query = recall.word, recall.starts, recall.asked, recall.query
        letters = torch.arange(self.query, device=query.device).expand(len(query), -1).minimum(query - 1)
        inside = torch.where(asked, starts, starts[:, :1])[:, :, None] + letters[:, None]
        covered = torch.zeros_like(word.values).scatter(1, inside.flatten(1), 1)
        return asked & (values_at(covered, starts + query) == 0)

    def _substrings(self, word: Ragged) -> Int[Tensor, "batch pos"]:
        """A number for the query that would begin at each place; places without a letter behind it have ones apart."""
        width, query = word.values.shape[1], self._query_length(word.lengths)[:, None]
        codes = word.values.clone()
        for offset in range(1, min(self.query, width)):
            weight = torch.where(offset < query, len(self.letters) ** offset, 0)
            codes[:, :-offset] += word.values[:, offset:] * weight
        places = torch.arange(width, device=codes.device)
        return torch.where(places < word.lengths[:, None] - query, codes, -1 - places)

    def _first_occurrences(self, word: Ragged) -> Bool[Tensor, "batch pos"]:
        """True where a query can begin that did not begin before."""
        codes, order = self._substrings(word).sort(dim=1, stable=True)
        new = torch.ones_like(codes, dtype=torch.bool)
        new[:, 1:] = codes[:, 1:] != codes[:, :-1]
        return torch.zeros_like(new).scatter(1, order, new & (codes >= 0))

    def _with_queries(self, written: Ragged, word: Ragged, starts: Tensor, count: Tensor) -> Ragged:
        """`word=` and the substrings that begin at the given places, with commas between them."""
        query = self._query_length(word.lengths)[:, None]
        width = word.values.shape[1] + 1 + starts.shape[1] * (self.query + 1)
        behind = torch.arange(width, device=query.device) - word.lengths[:, None] - 1
        number, within = behind // (query + 1), behind % (query + 1)
        letters = values_at(word.values, values_at(starts, number) + within)
        asked = torch.where(within < query, letters, self._comma)
        given = torch.nn.functional.pad(written.values, (0, max(0, width - written.values.shape[1])))[:, :width]
        lengths = word.lengths + count * (query[:, 0] + 1)
        return Ragged(torch.where(behind < 0, given, asked), lengths)
