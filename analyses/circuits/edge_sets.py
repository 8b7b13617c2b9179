"""Scores of a batch when only some edges of the model carry its own values, and the others those of another run."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from analyses.circuits.stack import Reference, Stack
from analyses.graph import Edge, check_edges, edge_mask, receivers, senders
from analyses.metrics import Metric, Reading, UserMetric, get_metric
from tasks import Batch, InvalidValueError, Pair
from training import HookedTransformer, ModelConfig

Direction = Literal["noise", "denoise"]

TOKEN_BUDGET = 32_768
"""Tokens times senders run at a time: each sender's difference from the other run is kept for every token. On a
processor, four times as many take twice as long at 6 layers, 6 heads and d_model 384; a quarter takes about as long."""


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
    pair: Pair,
    circuits: Sequence[Collection[Edge]],
    *,
    direction: Direction = "noise",
    metrics: Sequence[str | Metric | UserMetric] = ("logit_difference",),
    task_head: int = 0,
    token_budget: int = TOKEN_BUDGET,
    on_done: Callable[[int, int], object] = lambda *_: None,
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
        pair: Clean and counterfactual examples whose prompts have one length; answers may differ in length.
        circuits: The sets of edges, in the same metrics for all.
        direction: Which run the cut edges disturb.
        metrics: Names of metrics, metrics, or functions of the user's own. They read the logits that predict the clean
            answers; `logit_difference` compares with the counterfactual's, `kl` with the clean run.
        task_head: Which unembedding to use, if the model has one for each task.
        token_budget: The most tokens times senders run at a time (at least one example of one circuit).
        on_done: Called with the number of forward passes done and to do.

    Returns:
        The metrics of every example, in float64 and on the processor, as running each circuit alone gives them, to
        rounding.

    Raises:
        UnknownNameError: No such metric.
        InvalidValueError: No circuits, an edge that is not there or named twice, no examples, prompts of different
            lengths, no such direction or task head, a token budget below 1, a model with hooks attached, or logits that
            are not finite.
    """
    chosen = [get_metric(metric) for metric in metrics]
    _check(model, pair, circuits, direction, task_head)
    if token_budget < 1:
        raise InvalidValueError(f"token_budget = {token_budget} is not possible; allowed is 1 or more")
    kept = torch.stack([_mask(circuit, model.config, direction) for circuit in circuits]).to(model.device, model.dtype)
    pair = Pair(pair.clean.to(model.device), pair.counterfactual.to(model.device))
    per_example = kept.shape[2] * pair.clean.inputs.shape[1]
    rows = max(1, min(len(pair.clean), token_budget // per_example))
    stacks = kept.split(max(1, token_budget // (rows * per_example)))
    starts = range(0, len(pair.clean), rows)
    parts = []
    for place, start in enumerate(starts):
        part = Pair(pair.clean[start : start + rows], pair.counterfactual[start : start + rows])
        run = _Run.of(model, part, chosen, direction, task_head)
        scored = []
        for done, stack in enumerate(stacks):
            scored.append(run.scores(model, stack, task_head))
            on_done(place * len(stacks) + done + 1, len(starts) * len(stacks))
        parts.append((run.clean, run.counterfactual, torch.cat(scored, dim=1)))
    clean, counterfactual, values = (torch.cat(columns, dim=-1).cpu() for columns in zip(*parts, strict=True))
    names = [metric.name for metric in chosen]
    return EdgeSetScores(*(dict(zip(names, part, strict=True)) for part in (clean, counterfactual, values)))


@dataclass(frozen=True)
class _Run:
    """A part of the batch: what its circuits run on and against, and its scores without them, metric by metric."""

    tokens: Tensor
    reference: Reference
    reading: Reading
    metrics: list[Metric]
    clean: Float[Tensor, "metric batch"]
    counterfactual: Float[Tensor, "metric batch"]

    @classmethod
    def of(
        cls, model: HookedTransformer, pair: Pair, metrics: list[Metric], direction: Direction, task_head: int
    ) -> "_Run":
        predicting = pair.clean.predicting
        sides = [pair.clean.inputs, pair.counterfactual.inputs]
        references = [Reference.of(model, side, predicting, task_head=task_head) for side in sides]
        for reference in references:
            _check_finite(reference.logits)
        reading = Reading(batch=pair.clean, counterfactual=pair.counterfactual, clean=references[0].logits)
        ends = [torch.stack([metric.values(one.logits, reading) for metric in metrics]) for one in references]
        base = ("noise", "denoise").index(direction)
        return cls(sides[base], references[1 - base], reading, metrics, *ends)

    def scores(
        self, model: HookedTransformer, kept: Float[Tensor, "circuit receiver sender"], task_head: int
    ) -> Float[Tensor, "metric circuit batch"]:
        """The metrics of some circuits, run together."""
        stack = Stack(model, self.reference, self.reading.batch.predicting, kept)
        logits = stack.logits(self.tokens, task_head=task_head)
        _check_finite(logits)
        return torch.stack([metric.values(logits, self.reading) for metric in self.metrics])


def _mask(circuit: Collection[Edge], config: ModelConfig, direction: Direction) -> Bool[Tensor, "receiver sender"]:
    """True where a receiver reads a sender's current output."""
    rows = {receiver: place for place, receiver in enumerate(receivers(config))}
    columns = {sender: place for place, sender in enumerate(senders(config))}
    mask = torch.zeros(len(rows), len(columns), dtype=torch.bool)
    for edge in circuit:
        mask[rows[edge.receiver], columns[edge.sender]] = True
    return mask if direction == "noise" else torch.from_numpy(edge_mask(config).T.copy()) & ~mask


def _check(
    model: HookedTransformer, pair: Pair, circuits: Sequence[Collection[Edge]], direction: str, task_head: int
) -> None:
    if model.is_hooked:
        raise InvalidValueError("the model has hooks attached; remove them with model.reset_hooks() before a circuit")
    if direction not in get_args(Direction):
        raise InvalidValueError(f"direction {direction!r} is unknown; allowed are noise and denoise")
    if not 0 <= task_head < model.config.task_heads:
        raise InvalidValueError(
            f"task head {task_head} does not exist: the model has {model.config.task_heads}, counted from 0"
        )
    if not len(circuits):
        raise InvalidValueError("there are no circuits to run; give at least one set of edges")
    if not len(pair.clean):
        raise InvalidValueError("a circuit cannot be run on 0 examples; use n >= 1")
    _check_prompts(pair.clean, pair.counterfactual)
    for circuit in circuits:
        check_edges(circuit, model.config)


def _check_prompts(*batches: Batch) -> None:
    starts = torch.cat([batch.scored.int().argmax(dim=1) for batch in batches])
    if not bool((starts == starts[0]).all()):
        raise InvalidValueError("the prompts have different lengths, so their positions do not align; use one length")


def _check_finite(logits: Tensor) -> None:
    if not bool(torch.isfinite(logits).all()):
        raise InvalidValueError("the model's logits are not finite, so no circuit can be scored; check its weights")
