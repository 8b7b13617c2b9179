"""Whether two tasks need the same heads: ablate the top heads of one, and see what each of them loses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Generator

from analyses.ablation import AblationKind, HeadAblation, check_kind
from analyses.effects import HeadEffects
from analyses.examples import AT_ONCE, Examples, Running
from analyses.heads import Head, all_heads
from analyses.joint_ablation import matched_sets
from analyses.metrics import Metric, UserMetric, get_metric
from analyses.reuse.cross_effects import CrossTaskEffects, check_tasks
from analyses.scopes import Positions, check_scope, places_of
from analyses.statistics.resampling import seed_of
from analyses.sweeps import Sweeps
from tasks import InvalidValueError, Task
from training import HookedTransformer, ModelConfig, named_generator


@dataclass(frozen=True)
class CrossTaskAblation:
    """What the heads that each task needs most are worth to every other task, against random heads of the same layers.

        M[i, j] = effect on task j of ablating task i's k top heads together        positive: task j needs them

    Task i's top heads are the k whose ablation, one at a time, costs task i most; of heads that cost it the same, those
    of lower layers, then of lower number come first. They are chosen on one half of the examples drawn and everything
    is scored on the other: what was chosen for its effect looks larger than it is where it was chosen. k heads are
    chosen even if some of them do not help the task.

    The controls are other sets with as many heads in each layer (`matched_sets`): at most so many, drawn at random, the
    same ones for every scored task. Where a set is all the heads of its layers, no other set is like it: by definition
    there are 0 controls then, and p = 1.
    Tasks that read the same prompts are given the same ones. The metric's unit is M's; averages are over examples.

    Attributes:
        k: How many top heads.
        kind: As in `HeadAblation`.
        metric: As in `HeadAblation`.
        positions: As in `HeadAblation`.
        controls: At most how many control sets for each task.
        bootstraps: Bootstrap samples of the examples.
    """

    k: int = 3
    kind: AblationKind = "mean"
    metric: str | Metric | UserMetric = "accuracy"
    positions: Positions = "all"
    controls: int = 100
    bootstraps: int = 2_000

    def __post_init__(self) -> None:
        check_kind(self.kind)
        check_scope(self.positions)
        get_metric(self.metric)
        for name in ("k", "controls", "bootstraps"):
            if getattr(self, name) < 1:
                raise InvalidValueError(f"{name} = {getattr(self, name)} is not possible; allowed is 1 or more")

    def __call__(
        self,
        model: HookedTransformer,
        tasks: Sequence[Task],
        *,
        length: int,
        n: int = 512,
        generator: Generator,
        task_heads: Sequence[int] = (),
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """One row per task whose top heads are ablated and task that is scored (columns: `CrossTaskEffects.table`).

        Args:
            model: The model, left as it was.
            tasks: Two or more; they are bound to the model's vocabulary.
            length: The length of all examples, so that positions align.
            n: Examples of each task, from the test stream: the first half of them chooses the heads.
            generator: The source of the examples and of all that is drawn besides.
            task_heads: Which unembedding each task uses, if the model has one for each; none named means 0 for all.
            running: How the work is divided, followed and kept; each sweep has a journal of its own.

        Raises:
            UnknownNameError: No such metric.
            InvalidValueError: Fewer than two tasks, a task twice, task heads that are not one for each task, more top
                heads than heads, n below 4, and as `HeadAblation`.
        """
        found = self.effects(
            model, tasks, length=length, n=n, generator=generator, task_heads=task_heads, running=running
        )
        return found.table()

    def effects(
        self,
        model: HookedTransformer,
        tasks: Sequence[Task],
        *,
        length: int,
        n: int = 512,
        generator: Generator,
        task_heads: Sequence[int] = (),
        running: Running = AT_ONCE,
    ) -> CrossTaskEffects:
        """The effect of every set on every scored example: the table is made of it, and so is `double_dissociation`."""
        self._check(model.config, tasks, task_heads, n)
        number = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        ablation = HeadAblation(kind=self.kind, metric=get_metric(self.metric), positions=self.positions)
        # All tasks draw from equal generators, so that those that read the same prompts get the same ones.
        examples = [
            ablation.draw(
                model, task, length=length, n=n, generator=named_generator(number, "examples"), task_head=task_head
            )
            for task, task_head in zip(tasks, task_heads or [0] * len(tasks), strict=True)
        ]
        for one in examples:
            one.check_model(model, before="an ablation")
            places_of(self.positions, one.clean)
        sweeps, about = Sweeps(running, 2 * len(tasks)), [(task.name, length) for task in tasks]
        sweep = _Sweep(model, ablation, about, number, sweeps)
        singles = [(head,) for head in all_heads(model.config)]
        top = [
            top_heads(sweep(singles, _part(one, slice(0, n // 2)), task=place, number=place), k=self.k)
            for place, one in enumerate(examples)
        ]
        controls = [
            self._controls(heads, model.config, named_generator(number, "controls", place))
            for place, heads in enumerate(top)
        ]
        sets = [one for heads, others in zip(top, controls, strict=True) for one in (heads, *others)]
        scored = [
            sweep(sets, _part(one, slice(n // 2, n)), task=place, number=len(tasks) + place)
            for place, one in enumerate(examples)
        ]
        sweeps.finish()
        seed = seed_of(generator)
        return CrossTaskEffects(tuple(scored), tuple(len(others) for others in controls), self.bootstraps, seed)

    def _check(self, config: ModelConfig, tasks: Sequence[Task], task_heads: Sequence[int], n: int) -> None:
        check_tasks([task.name for task in tasks])
        if task_heads and len(task_heads) != len(tasks):
            raise InvalidValueError(
                f"{len(task_heads)} task heads are named for {len(tasks)} tasks; name one for each, or none"
            )
        heads = config.n_layers * config.n_heads
        if self.k > heads:
            raise InvalidValueError(f"k = {self.k} top heads of {heads}; allowed are 1 to {heads}")
        if n < 4:
            raise InvalidValueError(f"n = {n} examples do not make two halves of 2 or more; use n >= 4")

    def _controls(self, heads: tuple[Head, ...], config: ModelConfig, generator: Generator) -> list[tuple[Head, ...]]:
        layers = [head.layer for head in heads]
        if all(layers.count(layer) == config.n_heads for layer in layers):
            return []
        return matched_sets(heads, heads_per_layer=config.n_heads, count=self.controls, generator=generator)


def top_heads(effects: HeadEffects, *, k: int) -> tuple[Head, ...]:
    """The k heads of the greatest mean effects, in the map's order; of heads that tie, the first in the map."""
    order = effects.effects.mean(dim=1).argsort(descending=True, stable=True)[:k].tolist()
    return tuple(one for place in sorted(order) for one in effects.sets[place] if isinstance(one, Head))


@dataclass(frozen=True)
class _Sweep:
    """What every sweep over sets of heads needs."""

    model: HookedTransformer
    ablation: HeadAblation
    about: list[tuple[str, int]]
    seed: int
    sweeps: Sweeps

    def __call__(self, sets: Sequence[tuple[Head, ...]], examples: Examples, *, task: int, number: int) -> HeadEffects:
        """The effects of the sets; one that is named several times is run once."""
        once = list(dict.fromkeys(sets))
        generator, running = named_generator(self.seed, "partners"), self.sweeps.running(number)
        found = self.ablation.of_sets(
            self.model, examples, once, about=self.about[task], generator=generator, running=running
        )[0]
        return replace(found, sets=tuple(sets), ablated=found.ablated[[once.index(one) for one in sets]])


def _part(examples: Examples, rows: slice) -> Examples:
    other = examples.counterfactual
    return Examples(examples.clean[rows], None if other is None else other[rows], examples.task_head)
