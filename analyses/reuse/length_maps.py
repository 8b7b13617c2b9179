"""Ablation maps by length: which heads a task needs in range, at the lengths it transfers to, and beyond them."""

from dataclasses import dataclass

import pandas as pd
from torch import Generator

from analyses.ablation import AblationKind, HeadAblation, check_kind
from analyses.examples import AT_ONCE, Running
from analyses.heads import all_heads
from analyses.metrics import Metric, UserMetric, get_metric
from analyses.reuse.length_effects import LengthEffects, Zone, zone_lengths
from analyses.scopes import Positions, check_scope, places_of
from analyses.statistics.resampling import seed_of
from analyses.sweeps import Sweeps
from tasks import InvalidValueError, Task
from training import HookedTransformer


@dataclass(frozen=True)
class LengthMaps:
    """The effect of ablating each head in three zones of length.

        in_range   lengths that the main task is trained at
        transfer   longer ones, up to the auxiliary's longest: here the main task never trained
        beyond     longer than either, up to 1.25 times the auxiliary's longest

    At each of a few lengths in a zone every head is ablated, one at a time, on examples of that length; the zone's
    effect is the mean over its lengths of the mean over examples. A positive effect means that the head helped; the
    unit is the metric's. Where a task is always wrong, no ablation can cost accuracy; nll still says something there.

    Attributes:
        kind: As in `HeadAblation`; means are taken at each length for itself.
        metric: As in `HeadAblation`.
        positions: As in `HeadAblation`; positions by number must be there at every length.
        per_zone: How many lengths a zone has: evenly spaced, its longest among them; fewer if it is no wider.
    """

    kind: AblationKind = "mean"
    metric: str | Metric | UserMetric = "nll"
    positions: Positions = "all"
    per_zone: int = 3

    def __post_init__(self) -> None:
        check_kind(self.kind)
        check_scope(self.positions)
        get_metric(self.metric)
        if self.per_zone < 1:
            raise InvalidValueError(f"per_zone = {self.per_zone} is not possible; allowed is 1 or more")

    def __call__(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        main_length: int,
        auxiliary_length: int,
        n: int = 256,
        generator: Generator,
        task_head: int = 0,
        running: Running = AT_ONCE,
    ) -> pd.DataFrame:
        """One row per zone and head (columns: `LengthEffects.table`).

        A zone without a length is absent: transfer if both lengths are equal, beyond if the task ends with them.

        Args:
            model: The model, left as it was.
            task: The task, the main one or another; it is bound to the model's vocabulary.
            main_length: The longest length that the main task is trained at.
            auxiliary_length: The longest that an auxiliary is trained at.
            n: Examples of each length, from the test stream.
            generator: The source of the examples, from short to long, and of what an ablation draws.
            task_head: Which unembedding to use, if the model has one for each task.
            running: How the work is divided, followed and kept; each length has a journal of its own.

        Raises:
            UnknownNameError: No such metric.
            InvalidValueError: n below 2, an auxiliary length below the main one, and as `HeadAblation`.
        """
        return self.effects(
            model, task, main_length=main_length, auxiliary_length=auxiliary_length, n=n, generator=generator,
            task_head=task_head, running=running,
        ).table()  # fmt: skip

    def effects(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        main_length: int,
        auxiliary_length: int,
        n: int = 256,
        generator: Generator,
        task_head: int = 0,
        running: Running = AT_ONCE,
    ) -> LengthEffects:
        """The effect of every head on every example: the table is made of it, and so is `only_at_transfer`."""
        zones = zone_lengths(task, main_length=main_length, auxiliary_length=auxiliary_length, per_zone=self.per_zone)
        if n < 2:
            raise InvalidValueError(f"n = {n} examples of each length give no error; use n >= 2")
        ablation = HeadAblation(kind=self.kind, metric=get_metric(self.metric), positions=self.positions)
        where: list[tuple[Zone, int]] = [(zone, length) for zone, lengths in zones.items() for length in lengths]
        drawn = [
            ablation.draw(model, task, length=length, n=n, generator=generator, task_head=task_head)
            for _, length in where
        ]
        for examples in drawn:
            examples.check_model(model, before="an ablation")
            places_of(self.positions, examples.clean)
        sets, sweeps = [(head,) for head in all_heads(model.config)], Sweeps(running, len(drawn))
        found = [
            ablation.of_sets(
                model, examples, sets, about=(task.name, where[place][1]), generator=generator,
                running=sweeps.running(place),
            )[0]
            for place, examples in enumerate(drawn)
        ]  # fmt: skip
        sweeps.finish()
        seed = seed_of(generator)
        return LengthEffects(tuple(found), tuple(zone for zone, _ in where), seed)
