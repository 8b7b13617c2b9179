"""How differently two tasks make each head attend."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from analyses.attribution.checks import check_choice
from analyses.examples import AT_ONCE, Running
from analyses.heads import all_heads
from analyses.reuse.offset_cosines import bootstrap_offset_cosines, offset_cosines
from analyses.reuse.patterns import ComparedPatterns, compare_patterns
from analyses.reuse.two_tasks import TwoTasks
from analyses.scopes import Scope
from analyses.statistics.errors import standard_errors
from analyses.statistics.resampling import seed_of
from analyses.statistics.student import t_interval
from tasks import InvalidValueError, Task
from training import HookedTransformer, ModelConfig

AttentionMeasure = Literal["attention_difference", "jensen_shannon", "offset_cosine"]

COLUMNS = [
    "first", "second", "length", "positions", "measure", "layer", "head", "estimate", "stderr", "low", "high",
    "aligned", "n", "bootstraps", "seeds", "seed",
]  # fmt: skip


Estimated = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Estimate, standard error, and the ends of the interval, of every head and then of the total."""


@dataclass(frozen=True)
class AttentionDifference:
    """How differently two tasks make each head of one model attend.

    A_t[i, h, q, k] is the attention of head h from query q to key k on example i of task t, the answer being read as it
    is in training. For tasks that read the same prompts (`tasks.same_prompts`, with markers as long) example i of both
    has the same prompt at the same positions; the marker and the answer's tokens differ. Queries are compared that both
    examples have: up to the shorter answer's last.

        attention_difference   sum over q, k of |A_1 - A_2|, mean over examples. Unit: attention mass; each query adds
                               0 (looks alike) to 2 (elsewhere). Total: sum over heads. The first paper's.
        jensen_shannon         Jensen-Shannon divergence of the rows A_1[q], A_2[q], mean over queries, then examples,
                               in nats, 0 to ln 2. Total: mean over heads.
        offset_cosine          cosine of the two profiles p_t(d), 0 to 1; 0 if a profile is zero. p_t(d) is the mean
                               attention from q to q - d over the task's own queries q >= d of an example, then over
                               examples; d runs over the distances that every example of both tasks reaches. Without
                               the noise of single examples (`reuse.offset_cosines`). Total: mean over heads.

    The first two are great where attention differs, the third where it is alike. The first two pair queries one by one,
    so they are only defined on the same prompts; `offset_cosine` is defined for every two tasks.
    Source: Extrapolation by Association, appendix (attention difference; its inputs are not stated there).

    Attributes:
        measures: Which ones; none named means all that are defined for the two tasks.
        positions: Of which queries: `all`; `prompt`, those before the first scored token; `answer`, from it on. The
            keys are always all that a query sees.
        bootstraps: Bootstrap samples of the examples, for `offset_cosine`.

    Raises:
        UnknownNameError: No such measure or scope.
        InvalidValueError: A measure named twice, or fewer than 2 bootstrap samples.
    """

    measures: tuple[AttentionMeasure, ...] = ()
    positions: Scope = "all"
    bootstraps: int = 2_000

    def __post_init__(self) -> None:
        for measure in self.measures:
            check_choice("measure", measure, get_args(AttentionMeasure))
            if self.measures.count(measure) > 1:
                raise InvalidValueError(f"measure {measure!r} is named twice; name each measure once")
        check_choice("scope", self.positions, get_args(Scope))
        if self.bootstraps < 2:
            raise InvalidValueError(f"bootstraps = {self.bootstraps} give no interval; allowed is 2 or more")

    def __call__(
        self,
        model: HookedTransformer,
        first: Task,
        second: Task,
        *,
        length: int,
        n: int = 256,
        generator: Generator,
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """One row per measure and head, and after them one with missing layer and head for the total.

        Columns: first, second (tasks), length, positions, measure, layer, head, estimate, stderr, low, high (95 %; for
        means over examples t intervals, for offset_cosine bootstrap over examples, those of aligned tasks drawn
        together), aligned (whether both tasks read the same prompts), n (examples of each task), bootstraps (0 for a t
        interval), seeds (models: 1), seed (of the generator).

        Args:
            model: The model, left as it was.
            first: A task.
            second: Another one; both are bound to the model's vocabulary.
            length: The length of all examples.
            n: Examples of each task, from the test stream.
            generator: The source of examples and bootstrap samples.
            running: How the work is divided and followed (in examples of one task); its journal is not used.

        Raises:
            InvalidValueError: n below 2, a measure that needs the same prompts and tasks that read others, a model with
                hooks attached, no such length, a vocabulary without a task's tokens, or an example without a query in
                the scope.
        """
        seed = seed_of(generator)
        examples = self._draw(model, (first, second), length, n, generator)
        patterns = compare_patterns(model, examples, positions=self.positions, running=running)
        tables: list[pd.DataFrame] = []
        for measure in self._defined(examples):
            if measure == "offset_cosine":
                estimated = bootstrap_offset_cosines(
                    patterns.profiles, aligned=examples.aligned, bootstraps=self.bootstraps, generator=generator
                )
            else:
                estimated = _means(_values(patterns, measure))
            tables.append(_rows(measure, estimated, model.config))
        table = pd.concat(tables, ignore_index=True).assign(
            first=first.name, second=second.name, length=length, positions=self.positions, aligned=examples.aligned,
            n=n, seeds=1, seed=seed,
        )  # fmt: skip
        table["bootstraps"] = np.where(table["measure"] == "offset_cosine", self.bootstraps, 0)
        return table[COLUMNS]

    def totals(
        self,
        model: HookedTransformer,
        first: Task,
        second: Task,
        *,
        length: int,
        n: int = 64,
        generator: Generator,
        running: Running = AT_ONCE,
    ) -> dict[AttentionMeasure, float]:
        """Each measure's total alone, without an interval, for the many checkpoints of a training run.

        They are the estimates of the table's rows without a head. Arguments and errors as in a call.
        """
        examples = self._draw(model, (first, second), length, n, generator)
        patterns = compare_patterns(model, examples, positions=self.positions, running=running)
        totals: dict[AttentionMeasure, float] = {}
        for measure in self._defined(examples):
            if measure == "offset_cosine":
                totals[measure] = float(offset_cosines(patterns.profiles, aligned=examples.aligned)[-1])
            else:
                totals[measure] = float(_values(patterns, measure)[-1].mean())
        return totals

    def _draw(
        self, model: HookedTransformer, tasks: tuple[Task, Task], length: int, n: int, generator: Generator
    ) -> TwoTasks:
        if n < 2:
            raise InvalidValueError(f"n = {n} examples give no interval; allowed is 2 or more")
        examples = TwoTasks.drawn(model, *tasks, length=length, n=n, generator=generator)
        for measure in self.measures:
            if measure != "offset_cosine" and not examples.aligned:
                raise InvalidValueError(
                    f"measure {measure!r} pairs queries one by one, and tasks {tasks[0].name!r} and {tasks[1].name!r} "
                    "do not read the same prompts at the same positions; use offset_cosine, which needs no pairs"
                )
        return examples

    def _defined(self, examples: TwoTasks) -> tuple[AttentionMeasure, ...]:
        """The measures that were asked for, or all that can be."""
        every: tuple[AttentionMeasure, ...] = get_args(AttentionMeasure)
        return self.measures or (every if examples.aligned else ("offset_cosine",))


def _values(patterns: ComparedPatterns, measure: AttentionMeasure) -> Float[Tensor, "heads_and_total batch"]:
    """A measure of each head, layer by layer, and its total, on every example."""
    if measure == "attention_difference":
        heads = patterns.difference.flatten(1)
        total = heads.sum(dim=1, keepdim=True)
    else:
        heads = patterns.divergence.flatten(1)
        total = heads.mean(dim=1, keepdim=True)
    return torch.cat((heads, total), dim=1).T


def _means(values: Float[Tensor, "set batch"]) -> Estimated:
    """Means over examples with t intervals."""
    estimate, stderr = values.mean(dim=1).numpy(), standard_errors(values).numpy()
    return estimate, stderr, *t_interval(estimate, stderr, freedom=values.shape[1] - 1)


def _rows(measure: str, estimated: Estimated, config: ModelConfig) -> pd.DataFrame:
    """A row for each head, and one for the total."""
    heads = all_heads(config)
    columns = dict(zip(("estimate", "stderr", "low", "high"), estimated, strict=True))
    table = pd.DataFrame({"measure": measure, **columns})
    for column in ("layer", "head"):
        table[column] = pd.array([*(getattr(head, column) for head in heads), pd.NA], dtype="Int64")
    return table
