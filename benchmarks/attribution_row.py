"""Row 5: attribution of every edge by gradients (EAP), on the pairs of one task."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.tools.analysis.attribution_patching import (
    AttributionResult,
    EdgeAttributionConfig,
    Node,
    attribution_patch,
)

from analyses.attribution import EdgeAttribution
from analyses.components import Part
from analyses.examples import Examples
from analyses.graph import EMBED, Receiver, Sender, edge_mask, receivers, senders
from analyses.heads import Head
from benchmarks import machine, operations
from benchmarks.llama import llama_bridge
from benchmarks.memory import peak_bytes
from benchmarks.pairs import check_close, logit_differences, sample_pair
from benchmarks.results import OURS, TRANSFORMER_LENS, Comparison, compared
from benchmarks.rounds import Contender, run_rounds
from benchmarks.shapes import LARGE_WEIGHTS, PAIR_LENGTH, Shape
from tasks import Pair
from training import HookedTransformer, ModelConfig

TITLE = f"attribution of every edge (EAP), length {PAIR_LENGTH}"

TOLERANCE = 1e-4
"""Scores are sums of many products of gradients and differences, in float32."""

STEPS = 5

INTEGRATED = f"{OURS}, EAP-IG of {STEPS} steps"
"""TransformerLens has no integrated gradients."""


def compare_attribution(shape: Shape, *, seconds: float) -> Comparison:
    """Checks that ours and TransformerLens find the same scores, then times them, and integrated gradients of ours.

    Raises:
        RuntimeError: They find different ones.
    """
    model = shape.model(initializer_range=LARGE_WEIGHTS)
    bridge, pair, few = llama_bridge(model), sample_pair(shape.pairs), sample_pair(2)
    check_close(mean_scores(model, bridge, few), tolerance=TOLERANCE)
    work: dict[str, Callable[[int], object]] = {
        OURS: lambda _: our_scores(model, pair),
        INTEGRATED: lambda _: our_scores(model, pair, method="EAP-IG-inputs"),
        TRANSFORMER_LENS: lambda _: bridge_scores(bridge, pair),
    }
    contenders = [Contender(name, one) for name, one in work.items()]
    rounds = run_rounds([*contenders, machine.matrix_product()], seconds=seconds)
    sizes = {"read": pair.clean.inputs.shape[1], "scored": int(pair.clean.scored[0].sum())}
    return compared(
        TITLE,
        shape,
        rounds,
        per_unit={"pairs": float(shape.pairs), "edges": float(shape.pairs * edge_mask(model.config).sum())},
        flops=shape.pairs * operations.attribution(model.config, **sizes, points=0),
        own_flops={INTEGRATED: shape.pairs * operations.attribution(model.config, **sizes, points=STEPS)},
        peaks={name: peak_bytes(partial(one, 0)) for name, one in work.items()},
        detail=f"{shape.pairs} pairs",
    )


def mean_scores(model: HookedTransformer, bridge: TransformerBridge, pair: Pair) -> dict[str, Tensor]:
    """What ours and TransformerLens find: scores [sender, receiver], the mean over pairs."""
    return {
        OURS: our_scores(model, pair).mean(dim=0),
        TRANSFORMER_LENS: edge_matrix(bridge_scores(bridge, pair), model.config),
    }


def our_scores(model: HookedTransformer, pair: Pair, *, method: Any = "EAP") -> Tensor:
    """One call, for all pairs: [batch, sender, receiver]."""
    attribution = EdgeAttribution(method=method, direction="denoise", metric="logit_difference", steps=STEPS)
    return attribution.scores(model, Examples.of_pair(pair))


def bridge_scores(bridge: TransformerBridge, pair: Pair) -> list[AttributionResult]:
    """TransformerLens' tool, pair by pair: so it works inside too, and each pair has answers of its own."""
    config = EdgeAttributionConfig(granularity="edge")
    found = []
    for row in range(len(pair.clean)):
        one = Pair(pair.clean[row : row + 1], pair.counterfactual[row : row + 1])

        def metric(logits: Tensor, one: Pair = one) -> Tensor:
            return logit_differences(logits, one).sum()

        found.append(attribution_patch(bridge, one.clean.inputs, one.counterfactual.inputs, metric, config))
    return found


def edge_matrix(results: Sequence[AttributionResult], config: ModelConfig) -> Tensor:
    """TransformerLens' scores in our order, summed over positions: [sender, receiver], the mean over pairs."""
    rows = {sender: row for row, sender in enumerate(senders(config))}
    columns = {receiver: column for column, receiver in enumerate(receivers(config))}
    total = torch.zeros(len(rows), len(columns), dtype=torch.float64)
    for result in results:
        for (writer, reader), score in result.edge_scores.items():
            total[rows[_sender(writer)], columns[_receiver(reader)]] += score
    return total / len(results)


def _sender(node: Node) -> Sender:
    if node.layer is None:
        return EMBED
    return Part(node.layer, "mlp") if node.head is None else Head(node.layer, node.head)


def _receiver(node: Node) -> Receiver:
    assert node.layer is not None
    kinds = {"q_input": "q", "k_input": "k", "v_input": "v", "mlp_in": "mlp", "logits": "logits"}
    head = -1 if node.head is None else node.head
    return Receiver(node.layer, kinds[node.kind], head)  # pyright: ignore[reportArgumentType]  (one of these)
