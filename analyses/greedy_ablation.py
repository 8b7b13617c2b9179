"""How a task falls as heads are removed one after the other, always the one that costs most, or least, next."""

from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd
from torch import Generator

from analyses.ablation import AblationKind, HeadAblation
from analyses.components import Component, check_components
from analyses.examples import AT_ONCE, Examples, Running
from analyses.heads import all_heads
from analyses.journal import Journal
from analyses.metrics import Metric, UserMetric
from analyses.scopes import Positions
from tasks import InvalidValueError, Task
from tasks.errors import unknown_name
from training import HookedTransformer

Order = Literal["most", "least"]


@dataclass(frozen=True)
class GreedyAblation:
    """A cumulative order of ablation: each step adds the head that costs most, or least, beside those already ablated.

    The first n examples choose the order; other n examples say what the chosen sets cost, since the best of many
    choices looks better than it is where it was chosen. `most` finds a small set that a task cannot do without, `least`
    a large one that it can; backup heads, which single ablations miss, show as late large steps.

    Attributes:
        steps: How many heads are ablated in the end; all of them if there are fewer.
        order: `most` or `least`.
        heads: The heads, or parts of layers, to choose from; none named means all heads.
        kind: As in `HeadAblation`.
        metric: As in `HeadAblation`; a smooth one chooses better than accuracy, which ties.
        positions: As in `HeadAblation`.
    """

    steps: int = 5
    order: Order = "most"
    heads: tuple[Component, ...] = ()
    kind: AblationKind = "mean"
    metric: str | Metric | UserMetric = "nll"
    positions: Positions = "all"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InvalidValueError(f"steps = {self.steps} are not possible; allowed is 1 or more")
        if self.order not in get_args(Order):
            raise unknown_name("order", self.order, get_args(Order), listing="the orders are most and least")

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
        """One row per step.

        Columns: step, added (the head), chosen_effect (of all so far, on the examples that chose), then those of
        `HeadEffects.table` without layer and head, on the other examples: heads names all that are ablated by then.
        Arguments and errors as `HeadAblation`; `running.on_done` is told of steps, and each step has a journal of its
        own beside `running.journal`.
        """
        heads = list(self.heads or all_heads(model.config))
        check_components(heads, model.config)
        ablation = HeadAblation(kind=self.kind, metric=self.metric, positions=self.positions)
        choosing, judging = (
            ablation.draw(model, task, length=length, n=n, generator=generator, task_head=task_head) for _ in range(2)
        )
        about, sets, chosen = (task.name, length), [], []
        steps = min(self.steps, len(heads))
        for step in range(steps):
            found, effect = self._next(
                ablation, model, choosing, sets[-1] if sets else (), heads, generator, _of_step(running, step)
            )
            sets.append((*(sets[-1] if sets else ()), found))
            chosen.append(effect)
            running.on_done(step + 1, steps)
        last = _of_step(running, steps)
        table = ablation.of_sets(model, judging, sets, about=about, generator=generator, running=last)[0].table()
        for step in range(steps + 1):
            if journal := _of_step(running, step).journal:
                journal.remove()
        added = [str(one[-1]) for one in sets]
        first = pd.DataFrame({"step": range(1, steps + 1), "added": added, "chosen_effect": chosen})
        return pd.concat([first, table.drop(columns=["layer", "head"])], axis=1)

    def _next(
        self,
        ablation: HeadAblation,
        model: HookedTransformer,
        examples: Examples,
        so_far: tuple[Component, ...],
        heads: list[Component],
        generator: Generator,
        running: Running,
    ) -> tuple[Component, float]:
        """The head to add, the first of those that tie, and the effect of all with it."""
        left = [head for head in heads if head not in so_far]
        sets = [(*so_far, head) for head in left]
        found = ablation.of_sets(model, examples, sets, about=("", 0), generator=generator, running=running)[0]
        effects = found.effects.mean(dim=1)
        place = int(effects.argmax() if self.order == "most" else effects.argmin())
        return left[place], effects[place].item()


def _of_step(running: Running, step: int) -> Running:
    """The same budget, with a journal for this step alone."""
    if running.journal is None:
        return Running(token_budget=running.token_budget)
    path = running.journal.path
    return Running(token_budget=running.token_budget, journal=Journal(path.with_suffix(f".{step}{path.suffix}")))
