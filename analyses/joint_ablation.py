"""What a set of heads does together: against random sets of the same size in the same layers."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Generator

from analyses.ablation import AblationKind, HeadAblation
from analyses.components import Component, check_components
from analyses.effects import HeadEffects, set_text
from analyses.examples import AT_ONCE, Running
from analyses.heads import Group, Head
from analyses.metrics import Metric, UserMetric
from analyses.scopes import Positions
from analyses.statistics.resampling import one_sided_p
from tasks import InvalidValueError, Task
from training import HookedTransformer

Kind = TypeVar("Kind", bound=Head | Group)


@dataclass(frozen=True)
class JointAblation:
    """Whether ablating some heads together costs a task more than ablating as many others of the same layers.

    The controls are drawn uniformly, each once, from all other sets with as many heads in each layer; if there are no
    more than asked for, all of them are used. p = (b + 1) / (m + 1), one-sided: b of the m controls have at least the
    set's effect. Few heads make few controls, and p cannot be smaller than 1 / (m + 1).

    Attributes:
        heads: The set: heads, or groups of query heads (`Group`), whose controls are groups.
        kind: As in `HeadAblation`.
        metric: As in `HeadAblation`.
        positions: As in `HeadAblation`.
        controls: At most how many control sets.
    """

    heads: tuple[Component, ...]
    kind: AblationKind = "mean"
    metric: str | Metric | UserMetric = "accuracy"
    positions: Positions = "all"
    controls: int = 100

    def __post_init__(self) -> None:
        if not self.heads:
            raise InvalidValueError("a set of heads to ablate is empty; name at least one head")
        others = [str(one) for one in self.heads if not isinstance(one, Head | Group)]
        if others:
            raise InvalidValueError(f"controls are sets of heads, and {others[0]} is none; name heads only, as '0.3'")
        if len({type(one) for one in self.heads}) > 1:
            raise InvalidValueError(
                f"{set_text(self.heads)} are heads and groups of heads, and no other set is like both; name heads "
                "only, as '0.3', or groups only, as '0.kv1'"
            )
        if self.controls < 1:
            raise InvalidValueError(f"controls = {self.controls} sets are not possible; allowed is 1 or more")

    def __call__(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        length: int,
        n: int = 512,
        generator: Generator,
        task_head: int = 0,
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """One row for the set.

        Columns: those of `HeadEffects.table` without layer and head; controls (how many sets), control_mean,
        control_low, control_high (central 95 % of their effects), p. Arguments and errors as `HeadAblation`, and
        InvalidValueError if there is no other set to compare with.
        """
        found = self.effects(model, task, length=length, n=n, generator=generator, task_head=task_head, running=running)
        row = found.table().iloc[:1].drop(columns=["layer", "head"])
        effects = found.effects.mean(dim=1).numpy()
        low, high = np.quantile(effects[1:], (0.025, 0.975))
        return row.assign(
            controls=len(effects) - 1,
            control_mean=effects[1:].mean(),
            control_low=low,
            control_high=high,
            p=one_sided_p(effects[0], effects[1:], alike=1),
        )

    def effects(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        length: int,
        n: int = 512,
        generator: Generator,
        task_head: int = 0,
        running: Running = AT_ONCE,
    ) -> HeadEffects:
        """The effect of the set (first) and of every control set on every example; the controls are drawn last."""
        heads, config = [one for one in self.heads if isinstance(one, Head | Group)], model.config
        check_components(heads, config)
        each = config.n_key_value_heads if isinstance(heads[0], Group) else config.n_heads
        ablation = HeadAblation(kind=self.kind, metric=self.metric, positions=self.positions)
        examples = ablation.draw(model, task, length=length, n=n, generator=generator, task_head=task_head)
        controls = matched_sets(heads, heads_per_layer=each, count=self.controls, generator=generator)
        about, sets = (task.name, length), (tuple(self.heads), *controls)
        return ablation.of_sets(model, examples, sets, about=about, generator=generator, running=running)[0]


def matched_sets(
    heads: Sequence[Kind], *, heads_per_layer: int, count: int, generator: Generator
) -> list[tuple[Kind, ...]]:
    """Other sets with as many heads in each layer: all of them, if there are at most `count`, else so many at random.

    Groups of heads are treated as heads are; then `heads_per_layer` is the number of groups.

    Raises:
        InvalidValueError: There is no other set.
    """
    kind = type(heads[0])
    sizes = {layer: sum(head.layer == layer for head in heads) for layer in sorted({head.layer for head in heads})}
    total = math.prod(math.comb(heads_per_layer, size) for size in sizes.values()) - 1
    if not total:
        raise InvalidValueError(
            f"{set_text(tuple(heads))} are all the heads of their layers, so no other set is like it; name fewer heads"
        )
    asked = frozenset(heads)
    if total <= count:
        choices = (itertools.combinations(range(heads_per_layer), size) for size in sizes.values())
        every = (_set_of(kind, sizes, chosen) for chosen in itertools.product(*choices))
        return [one for one in every if frozenset(one) != asked]
    found: dict[frozenset[Kind], tuple[Kind, ...]] = {}
    while len(found) < count:
        chosen = [sorted(_permutation(heads_per_layer, generator)[:size]) for size in sizes.values()]
        one = _set_of(kind, sizes, chosen)
        if frozenset(one) != asked:
            found[frozenset(one)] = one
    return list(found.values())


def _permutation(count: int, generator: Generator) -> list[int]:
    return torch.randperm(count, generator=generator, device=generator.device).tolist()


def _set_of(kind: type[Kind], layers: Iterable[int], chosen: Sequence[Sequence[int]]) -> tuple[Kind, ...]:
    return tuple(kind(layer, head) for layer, heads in zip(layers, chosen, strict=True) for head in heads)
