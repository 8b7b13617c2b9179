"""How far the theoretical sorter sorts: length, precision, temperature, and noise on the attention."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from analyses.ground_truth.precision import Precision
from analyses.ground_truth.softmax import PLAIN, TEMPERED, Softmax
from analyses.ground_truth.sorter import IDENTITY
from analyses.ground_truth.sorting_logits import Code, check_code, min_logits, successor_logits
from tasks import InvalidValueError

COLUMNS = [
    "length", "numbers", "code", "precision", "bits", "temperature", "beta", "noise", "n", "accuracy", "stderr",
    "token_accuracy", "mass", "entropy",
]  # fmt: skip

REACH_COLUMNS = ["code", "precision", "bits", "temperature", "beta", "noise", "numbers", "exact_to", "fails_at", "n"]

_QUERIES = 256
"""Queries computed at a time, so that memory grows with the length, not with its square."""


@dataclass(frozen=True)
class Steps:
    """What the sorter does at each step of one example: at `=`, then at every number written.

    Attributes:
        correct: Whether the most probable token is the right one, alone.
        mass: The attention on the source: the position of the number, or of `=`, that is to be written next.
        entropy: Of the attention, in nats.
    """

    correct: Bool[Tensor, " step"]
    mass: Float[Tensor, " step"]
    entropy: Float[Tensor, " step"]


@dataclass(frozen=True)
class SorterTheory:
    """How often the constructed sorter (`sorter`) sorts distinct elements, by length, precision, softmax and noise.

    The attention of its two heads is computed without the model around it, as the model computes it: the logits, their
    product with beta ln n, noise added, softmax, and the product with the values, each rounded to the precision. All
    else in the model is a sum of such numbers and exact constants. So a length of 1,000 needs no stream 4,096 wide; at
    small sizes a test holds both equal.

    A step is right if the mass on the source exceeds 5/8 plus the mass on the token at the position itself; then it
    exceeds every other token's, too. As the answer is read back
    teacher-forced, an example is right if every step is, which is what greedy decoding writes (training.evaluate).

    Attributes:
        precisions: Names (`Precision`): `float64`, `float32`, `float16`, `bfloat16`, `4bit`, ...
        softmaxes: Factors on the logits.
        noises: Standard deviations of Gaussian noise, drawn for every query and key, added to the logits as the softmax
            sees them, that is, after beta (ln n).
        code: How the successor's logits are written.
        spread: How many numbers there are for each element of a sequence: 1 makes every sequence a permutation of all
            numbers, the hardest case, since all gaps are 1.

    Raises:
        UnknownNameError: No such precision or code.
        InvalidValueError: No precision, softmax or noise, a noise that is negative or not finite, or a spread below 1.
    """

    precisions: tuple[str, ...] = ("float64", "float32", "bfloat16")
    softmaxes: tuple[Softmax, ...] = (PLAIN, TEMPERED)
    noises: tuple[float, ...] = (0.0,)
    code: Code = "relative"
    spread: int = 1

    def __post_init__(self) -> None:
        for name in self.precisions:
            Precision(name)
        check_code(self.code)
        if not (self.precisions and self.softmaxes and self.noises):
            raise InvalidValueError("there is nothing to measure; give a precision, a softmax and a noise at least")
        for noise in self.noises:
            if not 0 <= noise < float("inf"):
                raise InvalidValueError(f"noise {noise} is not possible; a standard deviation is 0 or more, and finite")
        if self.spread < 1:
            raise InvalidValueError(f"spread {self.spread} leaves too few distinct numbers; allowed is 1 or more")

    def __call__(self, *, lengths: Sequence[int], n: int = 16, generator: Generator) -> pd.DataFrame:
        """One row for each length, precision, softmax and noise, in this order.

        Columns: length; numbers (spread * length); code; precision; bits (of the significand); temperature; beta;
        noise (standard deviation, in units of the logits); n (sequences); accuracy (exact match, in [0, 1]); stderr
        (sqrt(a (1 - a) / n); 0 at accuracy 1, where n sequences only bound the error below 1 - .05^(1/n), one-sided
        95 %); token_accuracy (share of the steps that are right, in [0, 1]); mass (mean over steps, then sequences, of
        the attention on the source); entropy (likewise, nats).

        Args:
            lengths: Numbers of elements, 1 or more.
            n: Sequences for each row. Rows of one length share them, and the noise, up to its size.
            generator: The source of the sequences, and of the noise.

        Raises:
            InvalidValueError: No length, one below 1, or n below 1.
        """
        if not lengths or min(lengths) < 1:
            raise InvalidValueError(f"lengths {list(lengths)} are not possible; give at least one, each 1 or more")
        if n < 1:
            raise InvalidValueError(f"n = {n} sequences cannot be sorted; allowed is 1 or more")
        rows = []
        for length in lengths:
            numbers = max(2, self.spread * length)
            drawn = [torch.randperm(numbers, generator=generator)[:length] for _ in range(n)]
            state = generator.get_state()
            for name, softmax, noise in itertools.product(self.precisions, self.softmaxes, self.noises):
                generator.set_state(state)
                arithmetic = Arithmetic(Precision(name), softmax, noise, self.code)
                steps = [arithmetic.steps(one, numbers=numbers, generator=generator) for one in drawn]
                about = (length, numbers, self.code, name, Precision(name).bits, softmax.temperature, softmax.beta)
                rows.append((*about, noise, n, *_summary(steps)))
        return pd.DataFrame(rows, columns=COLUMNS)


@dataclass(frozen=True)
class Arithmetic:
    """One way of computing the sorter's attention.

    Attributes:
        precision: To which every result is rounded.
        softmax: The factor on the logits.
        noise: The noise's standard deviation.
        code: How the successor's logits are written.
    """

    precision: Precision
    softmax: Softmax
    noise: float = 0.0
    code: Code = "relative"

    def steps(self, sequence: Int[Tensor, " element"], *, numbers: int, generator: Generator) -> Steps:
        """All steps of sorting a sequence of distinct numbers, counted from 0."""
        in_order = sequence.sort().values
        end = torch.full((1,), numbers)
        prompt = torch.cat((torch.tensor([-1]), sequence, end))  # the marker, the numbers, `=`
        parts = [self._attended(prompt, in_order[:0], 0, numbers, generator)]
        for first in range(0, len(sequence), _QUERIES):
            written = in_order[: first + _QUERIES]
            parts.append(self._attended(prompt, written, first, numbers, generator))
        return Steps(*(torch.cat(columns) for columns in zip(*(vars(part).values() for part in parts), strict=True)))

    def _attended(
        self, prompt: Int[Tensor, " key"], written: Int[Tensor, " step"], first: int, numbers: int, generator: Generator
    ) -> Steps:
        """The steps at `=`, if nothing is written yet; else those at the numbers written from `first` on."""
        keys = torch.cat((prompt, written))
        queries = written[first:] if len(written) else torch.tensor([numbers])
        seen = len(prompt) + torch.arange(first, len(written)) + 1 if len(written) else torch.tensor([len(prompt)])
        hidden = torch.arange(len(keys)) >= seen[:, None]
        if len(written):
            logits = successor_logits(queries[:, None], keys[None], numbers=numbers, code=self.code)
            target = torch.where(prompt > queries[:, None], prompt, numbers + 1).amin(dim=1, keepdim=True)
        else:
            logits = min_logits(keys[None], numbers=numbers)
            target = torch.where(prompt >= 0, prompt, numbers).amin(dim=0).view(1, 1)
        pattern = self._pattern(logits, seen, hidden, generator)
        return _read(pattern, source=keys == target, itself=(keys == queries[:, None]) & (keys < numbers))

    def _pattern(
        self, logits: Float[Tensor, "query key"], seen: Int[Tensor, " query"], hidden: Bool[Tensor, "query key"],
        generator: Generator,
    ) -> Float[Tensor, "query key"]:  # fmt: skip
        """Softmax of the logits, times beta (ln n), plus noise; each rounded."""
        to, beta = self.precision.round, self.softmax.beta
        if self.softmax.temperature == "none":
            scores = to(logits * beta)
        else:
            factor = to(to(torch.tensor(beta).double()) * to(seen.double().log()))
            scores = to(to(logits) * factor[:, None])
        if self.noise:
            drawn = torch.randn(scores.shape, generator=generator, dtype=torch.float64)
            scores = to(scores + self.noise * drawn)
        return to(scores.masked_fill(hidden, -torch.inf).softmax(dim=-1))


def _read(
    pattern: Float[Tensor, "query key"], *, source: Bool[Tensor, "query key"], itself: Bool[Tensor, "query key"]
) -> Steps:
    """Whether the source's token wins: against 5/8 for the token at the position itself, and the mass on it."""
    mass = (pattern * source).sum(dim=1)
    identity = IDENTITY + (pattern * itself).sum(dim=1)
    entropy = -torch.special.xlogy(pattern, pattern).sum(dim=1)
    return Steps(mass > identity, mass, entropy)


def _summary(steps: Sequence[Steps]) -> tuple[float, ...]:
    """accuracy, stderr, token_accuracy, mass, entropy: over steps, then over examples."""
    accuracy = sum(bool(one.correct.all()) for one in steps) / len(steps)
    means = [
        sum(float(values.double().mean()) for values in column) / len(steps)
        for column in zip(*((one.correct, one.mass, one.entropy) for one in steps), strict=True)
    ]
    return accuracy, (accuracy * (1 - accuracy) / len(steps)) ** 0.5, *means


def reach(table: pd.DataFrame) -> pd.DataFrame:
    """How far each way of computing sorts without an error, from a table of `SorterTheory`.

    Columns: code, precision, bits, temperature, beta, noise; numbers (at the length `exact_to`); exact_to (the greatest
    measured length up to which every sequence at every measured length was sorted; 0 if not even at the first);
    fails_at (the next measured length; missing if there is none); n. A row per way, in the table's order.
    """
    keys = REACH_COLUMNS[:6]
    rows = []
    for key, part in table.groupby(keys, sort=False):
        part = part.sort_values("length")
        wrong = part[part["accuracy"] < 1]
        fails = None if wrong.empty else int(wrong["length"].iloc[0])
        right = part if fails is None else part[part["length"] < fails]
        to, numbers = (0, 0) if right.empty else (int(right["length"].iloc[-1]), int(right["numbers"].iloc[-1]))
        rows.append((*key, numbers, to, fails, int(part["n"].iloc[0])))
    return pd.DataFrame(rows, columns=REACH_COLUMNS).astype({"fails_at": "Int64"})
