"""How much each attention head helps a task: ablate it, and see what the task loses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import pandas as pd
import torch
from jaxtyping import Int
from torch import Generator, Tensor

from analyses.components import Component, Together, check_components, check_together, members
from analyses.effects import HeadEffects
from analyses.examples import AT_ONCE, Examples, Running
from analyses.heads import all_heads
from analyses.interventions import OtherRun, Outcome, Source, intervene
from analyses.interventions.sites import Site, edits_of
from analyses.interventions.sources import means, zeros
from analyses.metrics import Metric, UserMetric, get_metric
from analyses.scopes import Positions, check_scope, places_of, scope_text
from analyses.store import weights_digest
from tasks import Batch, InvalidValueError, Task
from tasks.errors import unknown_name
from training import HookedTransformer

AblationKind = Literal["zero", "mean", "mean_all", "resample", "counterfactual"]


@dataclass(frozen=True)
class HeadAblation:
    """The ablation map of a task: the effect of ablating each head, or each of some heads, or some heads jointly.

    effect = better * (metric(clean) - metric(ablated)), averaged over examples; better is -1 for nll and kl, else +1,
    so that a positive effect always means that the head helped. The standard error is that of the paired difference of
    each example.
    Source: Extrapolation by Association, appendix (kind `mean`, metric `accuracy`).

    Attributes:
        kind: What takes the place of a head's output z. `zero`; `mean`: mean over the batch at each position;
            `mean_all`: mean over batch and positions; `resample`: that of another example of the batch;
            `counterfactual`: that of the example's counterfactual.
        metric: `accuracy` (exact match), `token_accuracy`, `nll` (nats per scored token), `logit_difference` (target
            minus counterfactual token), `kl` (nats per scored token, from the clean run), or a function of the user's
            (`analyses.metrics`).
        heads: The heads; none named means all of them. A `Group` stands for all query heads of a key-value head, a
            `Part` for a layer's MLP, its attention, or all of it. `heads=tuple(all_groups(model.config))` is the map
            by key-value head.
        together: `singly`: one row per head; `jointly`: one row for all the heads ablated at once.
        positions: At which positions (`analyses.scopes`).
    """

    kind: AblationKind = "mean"
    metric: str | Metric | UserMetric = "accuracy"
    heads: tuple[Component, ...] = ()
    together: Together = "singly"
    positions: Positions = "all"

    def __post_init__(self) -> None:
        check_kind(self.kind)
        check_scope(self.positions)
        check_together(self.together)

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
        """The table of effects (columns: `HeadEffects.table`).

        Args:
            model: The model, left as it was.
            task: The task; it is bound to the model's vocabulary.
            length: The length of all examples, so that positions align.
            n: Examples, from the test stream.
            generator: The source of the examples, and of their counterfactuals and partners where these are needed.
            task_head: Which unembedding to use, if the model has one for each task.
            running: How the work is divided, followed and kept.

        Raises:
            UnknownNameError: No such metric.
            InvalidValueError: No such head, length or position, n too small, a vocabulary without the task's tokens.
        """
        found = self.effects(model, task, length=length, n=n, generator=generator, task_head=task_head, running=running)
        return found[0].table()

    def effects(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        length: int,
        n: int = 512,
        generator: Generator,
        task_head: int = 0,
        also: Sequence[str | Metric | UserMetric] = (),
        running: Running = AT_ONCE,
    ) -> list[HeadEffects]:
        """The effect on every example, in this metric and, from the same passes, in `also`'s metrics."""
        examples = self.draw(model, task, length=length, n=n, generator=generator, task_head=task_head, also=also)
        heads = self.heads or tuple(all_heads(model.config))
        sets = (heads,) if self.together == "jointly" else tuple((head,) for head in heads)
        about = (task.name, length)
        found = self.of_sets(model, examples, sets, about=about, generator=generator, also=also, running=running)
        return [replace(one, task_key=task.key) for one in found]

    def draw(
        self,
        model: HookedTransformer,
        task: Task,
        *,
        length: int,
        n: int,
        generator: Generator,
        task_head: int = 0,
        also: Sequence[str | Metric | UserMetric] = (),
    ) -> Examples:
        """Test examples of a task, and then counterfactuals, where the kind or a metric asks for them."""
        metrics = [get_metric(metric) for metric in (self.metric, *also)]
        paired = self.kind == "counterfactual" or any(metric.reads == "counterfactual" for metric in metrics)
        drawn = Examples.drawn_in_pairs if paired else Examples.drawn
        return drawn(model, task, length=length, n=n, generator=generator, task_head=task_head)

    def of_sets(
        self,
        model: HookedTransformer,
        examples: Examples,
        sets: Sequence[tuple[Component, ...]],
        *,
        about: tuple[str, int],
        generator: Generator,
        also: Sequence[str | Metric | UserMetric] = (),
        running: Running = AT_ONCE,
    ) -> list[HeadEffects]:
        """The effect of ablating each of some sets, in the place of this ablation's own heads, on given examples.

        Args:
            model: The model, left as it was.
            examples: What `draw` gives.
            sets: The sets of components.
            about: Name of the task and length of the examples, for the tables.
            generator: The source of the partners of kind `resample`.
            also: Further metrics.
            running: How the work is divided, followed and kept.
        """
        metrics = [get_metric(metric) for metric in (self.metric, *also)]
        outcome = ablate(
            model, examples, sets, kind=self.kind, metrics=metrics, positions=self.positions, generator=generator,
            running=running,
        )  # fmt: skip
        where, weights = scope_text(self.positions), weights_digest(model)
        return [
            HeadEffects(
                *about, self.kind, one, tuple(sets), outcome.unedited[one.name], outcome.edited[one.name], where,
                weights,
            )
            for one in metrics
        ]  # fmt: skip


def ablate(
    model: HookedTransformer,
    examples: Examples,
    sets: Sequence[Sequence[Component]],
    *,
    kind: AblationKind,
    metrics: Sequence[str | Metric | UserMetric] = ("accuracy",),
    positions: Positions = "all",
    generator: Generator | None = None,
    running: Running = AT_ONCE,
) -> Outcome:
    """Scores examples with each set of components ablated, one set at a time.

    What a component writes is exchanged for a reference at the given positions: a head's z [batch, pos, d_head], an
    MLP's output, an attention layer's output (b_O included), or both of a layer. Means are those of the clean run, over
    positions that are read to predict a scored token: where answers differ in length, a late position's mean is over
    the examples that reach it, and where only one does, it is that one's own value. The components of one set are
    ablated together.

    Args:
        model: The model, with nothing hooked to it. It is left as it was.
        examples: The examples; with counterfactuals if the kind is `counterfactual` or a metric compares with them.
        sets: The sets of components.
        kind: What takes the place of what they write.
        metrics: What is measured.
        positions: Where.
        generator: Draws the partners of kind `resample`: for each example another one, whose answer is at least as long
            if there is one.
        running: How the work is divided, followed and kept.

    Returns:
        The metrics, equal to those of running every set alone with hooks, to rounding.

    Raises:
        InvalidValueError: As `intervene`; a component that is not there or named twice, an empty set, a mean over one
            example, a kind without what it needs.
    """
    for components in sets:
        if not components:
            raise InvalidValueError("a set of heads to ablate is empty; name at least one head")
        check_components(components, model.config)
    examples.check_model(model, before="an intervention")
    places = places_of(positions, examples.clean)
    interventions = [
        tuple(edit for one in components for part in members(one, model.config) for edit in edits_of(part, places))
        for components in sets
    ]
    sites: frozenset[Site] = frozenset(edit.site for intervention in interventions for edit in intervention)
    source = _source(model, examples, kind, sites, generator, running.tokens(model.device))
    return intervene(
        model, examples, interventions, source, metrics=[get_metric(metric) for metric in metrics], running=running
    )


def check_kind(kind: str) -> None:
    """Raises UnknownNameError unless there is such a kind of ablation."""
    if kind not in get_args(AblationKind):
        listing = f"the kinds are {', '.join(get_args(AblationKind))}"
        raise unknown_name("ablation kind", kind, get_args(AblationKind), listing=listing)


def _source(
    model: HookedTransformer,
    examples: Examples,
    kind: AblationKind,
    sites: frozenset[Site],
    generator: Generator | None,
    token_budget: int,
) -> Source:
    check_kind(kind)
    batch = examples.clean
    if kind in ("mean", "resample") and len(batch) < 2:
        raise InvalidValueError(
            f"kind {kind!r} of one example would put the example itself in place; use n >= 2, or kind 'zero'"
        )
    if kind == "zero":
        return zeros(model, width=examples.width)
    if kind == "counterfactual":
        if examples.counterfactual is None:
            raise InvalidValueError("kind 'counterfactual' needs counterfactual examples; give task.counterfactual's")
        return OtherRun(examples.counterfactual.inputs)
    if kind == "resample":
        if generator is None:
            raise InvalidValueError("kind 'resample' needs a generator to draw the other examples with; give one")
        return OtherRun(batch.inputs[partners(batch, generator=generator)])
    return means(model, batch.to(model.device), kind=kind, sites=sites, token_budget=token_budget)


def partners(batch: Batch, *, generator: Generator) -> Int[Tensor, " batch"]:
    """For each example another one, uniform among those whose answers are at least as long; else the longest other."""
    ends = batch.predicting.long().cumsum(dim=1).argmax(dim=1).to(generator.device)
    n = len(ends)
    keys = torch.rand(n, n, generator=generator, device=ends.device, dtype=torch.float64)
    keys = torch.where(ends[None] >= ends[:, None], keys, -1.0 / (1 + ends[None]))  # of shorter ones the longest
    return keys.fill_diagonal_(-torch.inf).argmax(dim=1).to(batch.tokens.device)
