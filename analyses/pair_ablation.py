"""Which heads stand in for one another: every pair ablated together, less what each costs alone."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from torch import Generator

from analyses.ablation import AblationKind, HeadAblation
from analyses.components import Component, check_components
from analyses.effects import HeadEffects
from analyses.examples import AT_ONCE, Running
from analyses.heads import all_heads
from analyses.metrics import Metric, UserMetric
from analyses.scopes import Positions
from analyses.statistics.errors import standard_errors
from tasks import InvalidValueError, Task
from training import HookedTransformer


@dataclass(frozen=True)
class PairAblation:
    """The interaction of every two heads: what they cost together, less the sum of what they cost alone.

    interaction = effect of both - (effect of one + effect of the other), per example, then averaged. Positive: together
    they matter more than apart, as where one does the other's work when it is gone (backup heads: Wang et al.
    2211.00593); negative: less, as where they are steps of one computation that either one's absence ends.

    Attributes:
        heads: The heads, or parts of layers, that are paired; none named means all heads.
        kind: As in `HeadAblation`.
        metric: As in `HeadAblation`.
        positions: As in `HeadAblation`.
    """

    heads: tuple[Component, ...] = ()
    kind: AblationKind = "mean"
    metric: str | Metric | UserMetric = "accuracy"
    positions: Positions = "all"

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
        """One row per pair.

        Columns: task, length, kind, positions, metric, first, second, first_effect, second_effect, joint_effect,
        interaction, stderr (of the interaction: standard error over examples), n. Arguments and errors as
        `HeadAblation`; InvalidValueError for fewer than 2 heads, or heads that overlap.
        """
        heads = self.heads or tuple(all_heads(model.config))
        if len(heads) < 2:
            raise InvalidValueError(
                f"pairs need at least 2 heads. Got {len(heads)}; name more, or none for all of them"
            )
        check_components(heads, model.config)
        ablation = HeadAblation(kind=self.kind, metric=self.metric, positions=self.positions)
        examples = ablation.draw(model, task, length=length, n=n, generator=generator, task_head=task_head)
        pairs, singles = list(itertools.combinations(heads, 2)), [(head,) for head in heads]
        found = ablation.of_sets(
            model, examples, [*singles, *pairs], about=(task.name, length), generator=generator, running=running
        )
        return pair_table(found[0], heads, pairs)


def pair_table(
    found: HeadEffects, heads: Sequence[Component], pairs: Sequence[tuple[Component, Component]]
) -> pd.DataFrame:
    """The pairs' rows, from the effects of the single heads and then of the pairs."""
    single = dict(zip(heads, found.effects, strict=False))
    rows = []
    for (one, other), joint in zip(pairs, found.effects[len(heads) :], strict=True):
        interaction = joint - single[one] - single[other]
        rows.append(
            {
                **found.about,
                "first": str(one),
                "second": str(other),
                "first_effect": single[one].mean().item(),
                "second_effect": single[other].mean().item(),
                "joint_effect": joint.mean().item(),
                "interaction": interaction.mean().item(),
                "stderr": standard_errors(interaction).item(),
                "n": len(joint),
            }
        )
    return pd.DataFrame(rows)
