"""Scores of a batch when only some edges of the model carry its own values, and the others those of another run."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from analyses.circuits.stack import Reference, Stack, fitting
from analyses.examples import AT_ONCE, Examples, Running
from analyses.graph import Edge, check_edges, edge_mask, receivers, senders
from analyses.journal import Record
from analyses.metrics import Metric, Reading, UserMetric, get_metric, measured
from analyses.patches import Direction, check_direction
from tasks import InvalidValueError
from training import HookedTransformer, ModelConfig


@dataclass(frozen=True)
class EdgeSetScores:
    """What each example scores, by metric.

    Attributes:
        clean: In the clean run.
        counterfactual: In the counterfactual run, read where the clean answer is and against it.
        circuits: With each circuit.
    """

    clean: dict[str, Float[Tensor, " batch"]]
    counterfactual: dict[str, Float[Tensor, " batch"]]
    circuits: dict[str, Float[Tensor, "circuit batch"]]


@torch.inference_mode()
def run_edge_sets(
    model: HookedTransformer,
    examples: Examples,
    circuits: Sequence[Collection[Edge]],
    *,
    direction: Direction = "noise",
    metrics: Sequence[str | Metric | UserMetric] = ("logit_difference",),
    running: Running = AT_ONCE,
) -> EdgeSetScores:
    """Scores the clean examples with each circuit: a set of edges, of which every other edge is cut.

    Each receiver reads its own sum over the senders before it, and its norm is recomputed on that sum:

        noise      the model reads the clean tokens; a sender's current output along the circuit's edges, its output
                   in the counterfactual run along all others
        denoise    the model reads the counterfactual tokens; a sender's output in the clean run along the circuit's
                   edges, its current output along all others

    Biases b_O belong to no edge and stay. In both directions all edges together give the clean run, and no edge gives
    the counterfactual run. `noise` is what circuits are judged by: ACDC (Conmy et al. 2023, arXiv 2304.14997),
    EAP-IG (Hanna et al. 2024, arXiv 2403.17806). Values of the other run are taken position by
    position, in the answer too, where either run has read its own answer; behind the end of a shorter answer, the other
    run has read [EOS].

    Args:
        model: The model, with nothing hooked to it. It is left as it was.
        examples: Clean and counterfactual examples; answers may differ in length.
        circuits: The sets of edges, in the same metrics for all.
        direction: Which run the cut edges disturb.
        metrics: Names of metrics, metrics, or functions of the user's own. They read the logits that predict the clean
            answers; `logit_difference` compares with the counterfactual's, `kl` with the clean run.
        running: How the work is divided, followed and kept. A circuit's run holds more than a forward pass does, so
            fewer tokens than the budget run at a time: as many as take the memory of a forward pass of the budget.

    Returns:
        The metrics of every example, in float64 and on the processor, as running each circuit alone gives them, to
        rounding. In half precision that is the rounding of the model's own logits: effects below it are lost.

    Raises:
        UnknownNameError: No such metric or direction.
        InvalidValueError: No circuits, an edge that is not there or named twice, examples without counterfactuals, no
            such task head, a model with hooks attached, no metrics or two of one name, a counterfactual with the clean
            answer where a metric compares with it, or logits or metrics that are not finite.
    """
    chosen = [get_metric(metric) for metric in metrics]
    _check(model, examples, circuits, direction, chosen)
    kept = torch.stack([_mask(circuit, model.config, direction) for circuit in circuits]).to(model.device, model.dtype)
    record = Record.empty(metrics=len(chosen), interventions=len(circuits), examples=len(examples))
    with running.keeping(record) as record:
        _score(model, examples, kept, direction, chosen, record, running)
    names = [metric.name for metric in chosen]
    return EdgeSetScores(*(dict(zip(names, part, strict=True)) for part in record.results))


def _score(
    model: HookedTransformer,
    examples: Examples,
    kept: Float[Tensor, "circuit receiver sender"],
    direction: Direction,
    metrics: list[Metric],
    record: Record,
    running: Running,
) -> None:
    """Scores what the record does not have yet."""
    budget = running.tokens(model.device)
    together = fitting(model.config, width=examples.width, n=len(examples), token_budget=budget)
    stacks = [part.tolist() for part in torch.arange(len(kept)).split(together.circuits)]
    done, total = 0, len(kept) * len(examples)
    for first in range(0, len(examples), together.examples):
        rows = slice(first, min(first + together.examples, len(examples)))
        part = _Part.of(model, examples, rows, metrics, direction)
        record.put_runs(rows, part.clean, part.counterfactual)
        for stack in stacks:
            if not record.has(stack, rows):
                record.put(stack, rows, part.scores(model, kept[stack]))
                running.note(record)
            done += len(stack) * (rows.stop - rows.start)
            running.on_done(done, total)


@dataclass(frozen=True)
class _Part:
    """Some examples: what their circuits run on and against, and what they score without, metric by metric."""

    tokens: Tensor
    reference: Reference
    reading: Reading
    metrics: list[Metric]
    task_head: int
    first: int
    clean: Float[Tensor, "metric batch"]
    counterfactual: Float[Tensor, "metric batch"]

    @classmethod
    def of(
        cls, model: HookedTransformer, examples: Examples, rows: slice, metrics: list[Metric], direction: Direction
    ) -> "_Part":
        assert examples.counterfactual is not None
        clean, counterfactual = (side[rows].to(model.device) for side in (examples.clean, examples.counterfactual))
        run, other = (clean, counterfactual) if direction == "noise" else (counterfactual, clean)
        task_head, predicting = examples.task_head, clean.predicting
        logits = model.scored_logits(run.inputs, predicting, task=task_head)
        reference = Reference.of(model, other.inputs, predicting, task_head=task_head)
        sides = (logits, reference.logits) if direction == "noise" else (reference.logits, logits)
        for side in sides:
            _check_finite(side)
        reading = Reading(batch=clean, counterfactual=counterfactual, clean=sides[0])
        ends = [measured(metrics, side, reading, first=rows.start) for side in sides]
        return cls(run.inputs, reference, reading, metrics, task_head, rows.start, *ends)

    def scores(
        self, model: HookedTransformer, kept: Float[Tensor, "circuit receiver sender"]
    ) -> Float[Tensor, "metric circuit batch"]:
        """The metrics of some circuits, run together."""
        stack = Stack(model, self.reference, self.reading.batch.predicting, kept)
        logits = stack.logits(self.tokens, task_head=self.task_head)
        _check_finite(logits)
        return measured(self.metrics, logits, self.reading, first=self.first)


def _mask(circuit: Collection[Edge], config: ModelConfig, direction: Direction) -> Bool[Tensor, "receiver sender"]:
    """True where a receiver reads a sender's current output."""
    rows = {receiver: place for place, receiver in enumerate(receivers(config))}
    columns = {sender: place for place, sender in enumerate(senders(config))}
    mask = torch.zeros(len(rows), len(columns), dtype=torch.bool)
    for edge in circuit:
        mask[rows[edge.receiver], columns[edge.sender]] = True
    return mask if direction == "noise" else torch.from_numpy(edge_mask(config).T.copy()) & ~mask


def _check(
    model: HookedTransformer,
    examples: Examples,
    circuits: Sequence[Collection[Edge]],
    direction: Direction,
    metrics: Sequence[Metric],
) -> None:
    examples.check_model(model, before="a circuit")
    check_direction(direction)
    if not len(circuits):
        raise InvalidValueError("there are no circuits to run; give at least one set of edges")
    if examples.counterfactual is None:
        raise InvalidValueError("a circuit's other edges carry counterfactual examples, and there are none; give them")
    examples.check_metrics(metrics)
    for circuit in circuits:
        check_edges(circuit, model.config)


def _check_finite(logits: Tensor) -> None:
    if not bool(torch.isfinite(logits).all()):
        raise InvalidValueError("the model's logits are not finite, so no circuit can be scored; check its weights")
