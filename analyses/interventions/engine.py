"""Runs many interventions on one batch and reads metrics off each: exactly, a token budget at a time.

A single run with an edit changes nothing before its layer, nor at earlier positions. So the unedited run is made once,
a part of the batch at a time, and each intervention starts from it where it first changes something; interventions that
start alike are stacked into one run up to the token budget (`analyses.interventions.stacked`).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from analyses.components import Part
from analyses.examples import AT_ONCE, Examples, Running
from analyses.interventions.clean_run import CleanRun, LayerWeights, layer_weights
from analyses.interventions.places import Places
from analyses.interventions.replacements import Replacements
from analyses.interventions.sites import Intervention, Site, check_interventions
from analyses.interventions.sources import Fixed, OtherRun, Source
from analyses.interventions.stacked import Stacked
from analyses.journal import Record
from analyses.metrics import Metric, Reading, measured
from tasks import Batch, InvalidValueError
from training import HookedTransformer

Base = Literal["clean", "counterfactual"]

_STACKED = 4
"""At least so many interventions are run at once, so that what they share is computed for several."""


@dataclass(frozen=True)
class Outcome:
    """What a batch scores as it is, and with each intervention.

    Attributes:
        metrics: What was measured.
        unedited: Each metric of every example, without an edit.
        other: The same for the run that the replacements come from; empty if they come from none.
        edited: Each metric of every example with each intervention, in the order asked.
    """

    metrics: tuple[Metric, ...]
    unedited: dict[str, Float[Tensor, " batch"]]
    other: dict[str, Float[Tensor, " batch"]]
    edited: dict[str, Float[Tensor, "intervention batch"]]


@torch.inference_mode()
def intervene(
    model: HookedTransformer,
    examples: Examples,
    interventions: Sequence[Intervention],
    source: Source,
    *,
    metrics: Sequence[Metric],
    base: Base = "clean",
    running: Running = AT_ONCE,
) -> Outcome:
    """Scores the examples with each intervention made, one at a time.

    Args:
        model: The model, with nothing hooked to it. It is left as it was.
        examples: The examples. In every run the logits are read where the clean answers are scored.
        interventions: What is edited, together, in each run.
        source: What takes the place of edited activations.
        metrics: What is measured.
        base: Which examples are run and edited.
        running: How the work is divided, followed and kept.

    Returns:
        Each metric per example, equal to running every intervention alone with hooks on its sites, to rounding.

    Raises:
        InvalidValueError: An edit of what is not there, or that edits nothing; a source without values for its site, or
            of another shape; a model with hooks attached; no metrics, or two of one name; a metric or base without
            counterfactuals; logits or metrics that are not finite.
    """
    _check(model, examples, interventions, source, metrics, base)
    inputs = examples.clean if examples.counterfactual is None or base == "clean" else examples.counterfactual
    work = _Work(model, layer_weights(model, width=examples.width), examples, inputs, interventions, source, metrics)
    record = Record.empty(metrics=len(metrics), interventions=len(interventions), examples=len(examples))
    with running.keeping(record) as record:
        work.run(record, running)
    names = [metric.name for metric in metrics]
    unedited, other, edited = (dict(zip(names, kept, strict=True)) for kept in record.results)
    return Outcome(tuple(metrics), unedited, other if isinstance(source, OtherRun) else {}, edited)


def _check(
    model: HookedTransformer,
    examples: Examples,
    interventions: Sequence[Intervention],
    source: Source,
    metrics: Sequence[Metric],
    base: Base,
) -> None:
    examples.check_model(model, before="an intervention")
    examples.check_metrics(metrics)
    if base == "counterfactual" and examples.counterfactual is None:
        raise InvalidValueError("the base is to be the counterfactual examples, and there are none; give them")
    check_interventions(interventions, model.config, width=examples.width)
    edits = [edit for intervention in interventions for edit in intervention]
    if isinstance(source, Fixed):
        source.check(model, {edit.site for edit in edits}, width=examples.width)
        if any(edit.senders for edit in edits):
            raise InvalidValueError("a path patch needs another run as its source; give OtherRun")
    elif source.inputs.shape != examples.clean.inputs.shape:
        raise InvalidValueError(
            f"the source's tokens must have shape {tuple(examples.clean.inputs.shape)}. "
            f"Got {tuple(source.inputs.shape)}"
        )


@dataclass(frozen=True)
class _Part:
    """Some examples: ready for interventions, and what they score without."""

    stacked: Stacked
    metrics: Sequence[Metric]
    reading: Reading
    other_logits: Tensor
    first: int

    def measured(self, logits: Float[Tensor, "*stack scored vocab"]) -> Float[Tensor, "metric *stack batch"]:
        return measured(self.metrics, logits, self.reading, first=self.first)

    @property
    def unedited(self) -> Float[Tensor, "metric batch"]:
        return self.measured(self.stacked.run.logits)

    @property
    def other(self) -> Float[Tensor, "metric batch"]:
        return self.measured(self.other_logits)


@dataclass(frozen=True)
class _Work:
    """What is to be done to every part of the examples."""

    model: HookedTransformer
    weights: Sequence[LayerWeights]
    examples: Examples
    inputs: Batch
    interventions: Sequence[Intervention]
    source: Source
    metrics: Sequence[Metric]

    def run(self, record: Record, running: Running) -> None:
        """Measures what the record does not have yet."""
        groups, count, total = _groups(self.interventions), 0, len(self.interventions) * len(self.examples)
        budget = running.tokens(self.model.device)
        for rows in self.parts(budget):
            part, size = self.part(rows), rows.stop - rows.start
            record.put_runs(rows, part.unedited, part.other)
            for stack in self._stacks(groups, size, budget):
                if not record.has(stack, rows):
                    logits = part.stacked.logits([self.interventions[number] for number in stack])
                    record.put(stack, rows, part.measured(logits))
                    running.note(record)
                count += len(stack) * size
                running.on_done(count, total)
            del part  # before the next one is run: two would take twice the room

    def parts(self, token_budget: int) -> Iterator[slice]:
        """The examples of each part: few enough to stack several interventions of them within the budget.

        What runs leave behind takes at most half the room of a forward pass of the budget.
        """
        config, width = self.model.config, self.examples.width
        runs = 2 if isinstance(self.source, OtherRun) else 1
        kept = runs * config.n_layers * (6 + len(self._kept)) * config.d_model
        room = (3 * config.d_mlp + 4 * config.d_model) / kept / 2
        tokens = token_budget * min(1 / (_STACKED * (1 + self._read)), room)
        rows = max(1, int(tokens) // width)
        for first in range(0, len(self.examples), rows):
            yield slice(first, min(first + rows, len(self.examples)))

    def part(self, rows: slice) -> _Part:
        """Some examples, run without an edit, and, if there is one, the other run of them."""
        device, counterfactual = self.model.device, self.examples.counterfactual
        clean = self.examples.clean[rows].to(device)
        base = other = self._run(self.inputs.inputs[rows].to(device), clean)
        if isinstance(self.source, OtherRun):
            other = self._run(self.source.inputs[rows].to(device), clean)
        reading = Reading(
            clean,
            counterfactual[rows].to(device) if counterfactual is not None else None,
            self._clean_logits(clean, base, other),
        )
        replacements = Replacements(
            self.model, self.weights, base, self.source if isinstance(self.source, Fixed) else other
        )
        stacked = Stacked(
            self.model, self.weights, base, replacements, clean.predicting, self._needed, self.examples.task_head
        )
        return _Part(stacked, self.metrics, reading, other.logits, rows.start)

    def _clean_logits(self, clean: Batch, base: CleanRun, other: CleanRun) -> Tensor:
        """The clean examples' logits, run once more if neither of the two runs is theirs and a metric reads them."""
        if self.inputs is self.examples.clean or all(metric.reads != "clean" for metric in self.metrics):
            return base.logits
        if isinstance(self.source, OtherRun) and torch.equal(self.source.inputs, self.examples.clean.inputs):
            return other.logits
        return self.model.scored_logits(clean.inputs, clean.predicting, task=self.examples.task_head)

    def _run(self, inputs: Tensor, clean: Batch) -> CleanRun:
        return CleanRun.of(
            self.model, self.weights, inputs, clean.predicting, needed=self._needed, keep=self._kept,
            task_head=self.examples.task_head,
        )  # fmt: skip

    def _stacks(self, groups: Sequence[tuple[int, list[int]]], rows: int, token_budget: int) -> Iterator[list[int]]:
        """Interventions that are run together: what is computed, and the keys and values of all positions, fit."""
        width = self.examples.width
        for first, numbers in groups:
            together = max(1, int(token_budget / (rows * (width - first + self._read * width))))
            for start in range(0, len(numbers), together):
                yield numbers[start : start + together]

    @property
    def _read(self) -> float:
        """The room that a token takes where only its keys and values are read, to that where it is computed."""
        config = self.model.config
        return 4 * config.n_key_value_heads * config.d_head / (3 * config.d_mlp + 4 * config.d_model)

    @cached_property
    def _needed(self) -> Places:
        return Places.of(self.examples.clean.predicting.any(dim=0).nonzero()[:, 0].tolist())

    @cached_property
    def _kept(self) -> frozenset[Site]:
        """The sums that are needed besides the residual stream."""
        edits = [edit for intervention in self.interventions for edit in intervention]
        wanted: set[Site] = {edit.site for edit in edits if not edit.senders}
        if any(isinstance(sender, Part) for edit in edits for sender in edit.senders):
            wanted.add("mlp_out")
        return frozenset(wanted & {"attn_out", "mlp_out"})


def _groups(interventions: Sequence[Intervention]) -> list[tuple[int, list[int]]]:
    """The numbers of the interventions that change the same things first, with the first position that they change."""
    groups: dict[tuple[int, frozenset[tuple[Site, Places]]], list[int]] = defaultdict(list)
    for number, intervention in enumerate(interventions):
        layer = min(edit.layer for edit in intervention)
        changed: frozenset[tuple[Site, Places]] = frozenset(
            (edit.site, edit.places) for edit in intervention if edit.layer == layer
        )
        groups[layer, changed].append(number)
    return [
        (min(edit.places.first for number in numbers for edit in interventions[number]), numbers)
        for _, numbers in sorted(groups.items(), key=lambda item: (item[0][0], item[1]))
    ]
