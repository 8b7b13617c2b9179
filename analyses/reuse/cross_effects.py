"""What ablating each task's top heads did to every task, beside random sets of heads, and the table made of it."""

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from analyses.components import Component, parse_component
from analyses.effects import HeadEffects, set_text
from analyses.metrics import get_metric
from analyses.statistics.controls import beside
from analyses.statistics.correction import benjamini_hochberg
from analyses.statistics.errors import percentile_interval
from analyses.statistics.resampling import bootstrap_counts, bootstrap_means
from tasks import InvalidValueError
from training import named_generator

COLUMNS = [
    "ablated", "scored", "length", "kind", "positions", "metric", "k", "heads", "shared", "effect", "low", "high",
    "own", "share", "specificity", "specificity_low", "specificity_high", "null", "controls", "control_mean",
    "control_low", "control_high", "p", "q", "family", "specificity_p", "specificity_q", "specificity_family",
    "correction", "bootstraps", "n", "seeds", "seed",
]  # fmt: skip

NULL = "matched sets"
"""What top heads are compared with: random sets with as many heads in each layer."""

_ABOUT = ["length", "kind", "positions", "metric"]

_KEYS = ["scored", "ablated", "control", "example"]


@dataclass(frozen=True)
class CrossTaskEffects:
    """What ablating the top heads of each task, and random sets like them, did to each example of every task.

    M[S, j] is the mean effect of ablating the set S on task j; M[i, j] that of task i's top heads. Bootstrap samples
    draw example e of every task, or of none. That is right for matched prompts, and right for others too: there the
    effects on two tasks do not vary together, and pairing them by number changes nothing.

    Attributes:
        scored: The effects of all sets on each task: the first task's top heads, then its control sets, then the same
            of the next task, in the order of the tasks.
        controls: How many control sets each task's top heads have.
        bootstraps: Bootstrap samples of the examples.
        seed: Seeds bootstrap samples and the pairing of controls, so that the tables are the same whenever made.

    Raises:
        InvalidValueError: Fewer than two tasks, a task twice, effects that differ in what was measured or in the
            number of examples, a single example, sets that are not as many as said, fewer than 1 bootstrap sample.
    """

    scored: tuple[HeadEffects, ...]
    controls: tuple[int, ...]
    bootstraps: int = 2_000
    seed: int = 0

    def __post_init__(self) -> None:
        check_tasks(self.tasks)
        first = self.scored[0]
        for other in self.scored[1:]:
            _check_alike(first, other)
        if len(first.clean) < 2:
            raise InvalidValueError("1 example gives no interval; use 2 or more")
        if len(self.controls) != len(self.scored) or sum(self.controls) + len(self.scored) != len(first.sets):
            raise InvalidValueError(
                f"{len(first.sets)} sets cannot be those of {len(self.scored)} tasks with {self.controls} controls; "
                "each task has one set of top heads and its controls"
            )
        if self.bootstraps < 1:
            raise InvalidValueError(f"bootstraps = {self.bootstraps} is not possible; allowed is 1 or more")

    @property
    def tasks(self) -> list[str]:
        """The tasks' names."""
        return [one.task for one in self.scored]

    @property
    def top(self) -> list[tuple[Component, ...]]:
        """Each task's top heads."""
        return [self.scored[0].sets[start] for start in self._starts]

    @property
    def about(self) -> dict[str, Any]:
        """What both tables say in every row: length, kind, positions, metric, bootstraps, n, seeds, seed."""
        about = {name: self.scored[0].about[name] for name in _ABOUT}
        n = len(self.scored[0].clean)
        return about | {"bootstraps": self.bootstraps, "n": n, "seeds": 1, "seed": self.seed}

    @cached_property
    def means(self) -> Float[np.ndarray, "set task"]:
        """M of every set."""
        return np.stack([one.effects.mean(dim=1).numpy() for one in self.scored], axis=1)

    @cached_property
    def drawn(self) -> Float[np.ndarray, "draw ablated scored"]:
        """M of the top heads in every bootstrap sample."""
        effects = np.stack([one.effects[self._starts].numpy() for one in self.scored], axis=1)
        generator = named_generator(self.seed, "cross-task", "bootstrap")
        counts = bootstrap_counts(effects.shape[-1], draws=self.bootstraps, generator=generator)
        return bootstrap_means(effects.reshape(-1, effects.shape[-1]), counts).reshape(-1, *effects.shape[:2])

    @property
    def drawn_specificities(self) -> Float[np.ndarray, "draw ablated scored"]:
        """M[i, i] - M[i, j] in every bootstrap sample."""
        return np.diagonal(self.drawn, axis1=1, axis2=2)[:, :, None] - self.drawn

    def means_of(self, i: int) -> Float[np.ndarray, "set task"]:
        """M of task i's top heads, then of its controls."""
        return self.means[self._starts[i] : self._starts[i] + 1 + self.controls[i]]

    def specificities(self, i: int, j: int) -> Float[np.ndarray, " set"]:
        """M[S, i] - M[S, j] for task i's top heads, then for its controls."""
        return self.means_of(i)[:, i] - self.means_of(i)[:, j]

    def shared(self, i: int, j: int) -> int:
        """How many heads are top heads of both tasks."""
        return len(set(self.top[i]) & set(self.top[j]))

    def table(self) -> pd.DataFrame:
        """One row per task whose top heads were ablated and task that was scored.

        Columns: ablated, scored, length, kind, positions, metric, k, heads (that were ablated), shared (how many of
        them are top heads of the scored task), effect (M[i, j] of ablated i and scored j), low, high (95 % percentile
        bootstrap interval over examples); own (M[j, j]), share (M[i, j] / M[j, j]; by definition 0 if M[j, j] is 0, to
        6 decimals); specificity (M[i, i] - M[i, j]) with its interval specificity_low and specificity_high; null,
        controls (sets R like i's), control_mean, control_low, control_high (mean and central 95 % of M[R, j]; missing
        if there are none); p (share of R with at least i's M[., j]) and specificity_p (with at least its specificity),
        both (b + 1) / (m + 1) and so 1 without controls; q over all rows and specificity_q over those with j != i
        (for j = i both are 1), the numbers of these rows, family and specificity_family, and correction; bootstraps, n
        (examples of each task), seeds (models: 1), seed.
        """
        (low, high), (least, most) = (percentile_interval(one) for one in (self.drawn, self.drawn_specificities))
        rows = [
            self._row(i, j)
            | {"low": low[i, j], "high": high[i, j], "specificity_low": least[i, j], "specificity_high": most[i, j]}
            for i, j in np.ndindex(low.shape)
        ]
        return self._corrected(pd.DataFrame(rows))[COLUMNS]

    def _corrected(self, table: pd.DataFrame) -> pd.DataFrame:
        others = table[table["ablated"] != table["scored"]]
        # A task's specificity against itself is 0 whatever is ablated: it is no test, and counts in no family.
        tested = benjamini_hochberg(others, p="specificity_p")["q"].reindex(table.index, fill_value=1.0)
        return benjamini_hochberg(table).assign(specificity_q=tested, specificity_family=len(others))

    def _row(self, i: int, j: int) -> dict[str, Any]:
        effects, specificities = self.means_of(i)[:, j], self.specificities(i, j)
        own = float(self.means_of(j)[0, j])
        return self.about | {
            "ablated": self.tasks[i],
            "scored": self.tasks[j],
            "k": len(self.top[i]),
            "heads": set_text(self.top[i]),
            "shared": self.shared(i, j),
            "null": NULL,
            "effect": effects[0],
            "own": own,
            "share": effects[0] / own if round(own, 6) else 0.0,
            "specificity": specificities[0],
            **beside(effects[0], effects[1:]),
            "specificity_p": beside(specificities[0], specificities[1:])["p"],
        }

    @cached_property
    def _starts(self) -> list[int]:
        """Where each task's top heads stand among the sets."""
        return list(itertools.accumulate((count + 1 for count in self.controls[:-1]), initial=0))

    def examples(self) -> pd.DataFrame:
        """One row per scored task, set and example: to make the tables again, or others, without the model.

        Columns: scored, ablated (the task whose set it is), control (0 for its top heads, else the control's number),
        length, kind, positions, metric, heads, example, clean, without (the metric with the set ablated), effect, seed.
        """
        numbers = [number for count in self.controls for number in range(count + 1)]
        names = [name for name, count in zip(self.tasks, self.controls, strict=True) for _ in range(count + 1)]
        n = len(self.scored[0].clean)
        renamed = {"task": "scored", "ablated": "without"}
        parts = [
            one.examples().rename(columns=renamed).assign(ablated=np.repeat(names, n), control=np.repeat(numbers, n))
            for one in self.scored
        ]
        columns = [*_KEYS[:3], *_ABOUT, "heads", "example", "clean", "without", "effect"]
        return pd.concat(parts, ignore_index=True)[columns].assign(seed=self.seed)

    @classmethod
    def from_examples(cls, table: pd.DataFrame, *, bootstraps: int = 2_000) -> "CrossTaskEffects":
        """The effects that `examples` wrote down, with as many bootstrap samples as are asked for now.

        Raises:
            InvalidValueError: The table holds several lengths, kinds, scopes, metrics or seeds, or not every example of
                every set and task once.
            UnknownNameError: The metric is the user's own, so its name does not say which way is better.
        """
        names = list(dict.fromkeys(table["scored"]))
        about = table[[*_ABOUT, "seed"]].drop_duplicates()
        sets, n = table[["ablated", "control"]].drop_duplicates(), table["example"].nunique()
        whole = len(table) == len(names) * len(sets) * n and not table.duplicated(_KEYS).any()
        if len(about) != 1 or not whole or set(names) != set(sets["ablated"]):
            raise InvalidValueError(
                "the table must hold every example of every set and task once, for one length, kind, scope, metric and "
                f"seed; it has {len(about)} of those and {len(table)} rows for {len(names)} tasks, {len(sets)} sets "
                f"and {n} examples; select one first"
            )
        places = {name: place for place, name in enumerate(names)}
        keys = table[_KEYS].assign(**{name: table[name].map(places) for name in ("scored", "ablated")})
        ordered = table.loc[keys.sort_values(_KEYS).index]
        length, kind, positions, metric, seed = about.iloc[0]
        heads = ordered["heads"].iloc[: len(sets) * n : n]
        chosen = tuple(tuple(parse_component(one) for one in text.split()) for text in heads)
        values = torch.tensor(ordered[["clean", "without"]].to_numpy(float)).view(len(names), len(sets), n, 2)
        scored = tuple(
            HeadEffects(name, int(length), kind, get_metric(metric), chosen, one[0, :, 0], one[..., 1], positions)
            for name, one in zip(names, values, strict=True)
        )
        counts = sets["ablated"].value_counts()
        return cls(scored, tuple(int(counts[name]) - 1 for name in names), bootstraps, int(seed))


def check_tasks(names: list[str]) -> None:
    """Raises InvalidValueError unless there are two tasks or more, each once."""
    if len(names) < 2:
        raise InvalidValueError(
            f"cross-task ablation compares two or more tasks, got {' '.join(names) or 'none'}; name at least two"
        )
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise InvalidValueError(f"task {twice!r} is named twice; name each task once")


def _check_alike(first: HeadEffects, other: HeadEffects) -> None:
    both = f"the effects on {first.task!r} and {other.task!r}"
    for name in _ABOUT:
        one, two = first.about[name], other.about[name]
        if one != two:
            raise InvalidValueError(f"{both} differ in {name}: {one} and {two}; measure both alike")
    if first.sets != other.sets:
        raise InvalidValueError(f"{both} are those of different sets of heads; ablate the same ones for both")
    if len(first.clean) != len(other.clean):
        raise InvalidValueError(
            f"{both} are those of {len(first.clean)} and {len(other.clean)} examples; use equally many, since examples "
            "are drawn anew together"
        )
