"""Row 5: attribution of every edge by gradients (EAP), on the pairs of one task."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.tools.analysis import attribution_patching
from transformer_lens.tools.analysis.attribution_patching import (
    AttributionResult,
    EdgeAttributionConfig,
    Node,
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
from benchmarks.shapes import LARGE_WEIGHTS, Shape
from tasks import Pair
from training import HookedTransformer, ModelConfig

TITLE = "attribution of every edge (EAP)"

TOLERANCE = 1e-4
"""Scores are sums of many products of gradients and differences, in float32."""

STEPS = 5

INTEGRATED = f"{OURS}, EAP-IG of {STEPS} steps"
"""TransformerLens has no integrated gradients."""

PASSES = f"{TRANSFORMER_LENS}, passes only"
"""What its tool would take if scoring cost nothing: the bound of any way to score that keeps its passes."""


def compare_attribution(shape: Shape, *, seconds: float) -> Comparison:
    """Checks that ours and TransformerLens find the same scores, then times them, and integrated gradients of ours.

    Raises:
        RuntimeError: They find different ones.
    """
    model = shape.model(initializer_range=LARGE_WEIGHTS)
    bridge, sample = llama_bridge(model), partial(sample_pair, length=shape.pair_length, device=shape.device)
    pair, few = sample(shape.pairs), sample(2)
    check_close(mean_scores(model, bridge, few), tolerance=TOLERANCE)
    work: dict[str, Callable[[int], object]] = {
        OURS: lambda _: our_scores(model, pair),
        INTEGRATED: lambda _: our_scores(model, pair, method="EAP-IG-inputs"),
        TRANSFORMER_LENS: lambda _: bridge_scores(bridge, pair),
        PASSES: lambda _: bridge_passes(bridge, pair),
    }
    contenders = [Contender(name, one) for name, one in work.items()]
    rounds = run_rounds([*contenders, machine.matrix_product(shape.device)], seconds=seconds, device=shape.device)
    tokens = {"read": pair.clean.inputs.shape[1], "scored": int(pair.clean.scored[0].sum())}
    edges = int(edge_mask(model.config).sum())
    return compared(
        TITLE,
        shape,
        rounds,
        per_unit={"pairs": float(shape.pairs)},
        flops=shape.pairs * operations.attribution(model.config, **tokens, points=0),
        own_flops={
            INTEGRATED: shape.pairs * operations.attribution(model.config, **tokens, points=STEPS),
            PASSES: shape.pairs * operations.attribution_passes(model.config, **tokens, points=0),
        },
        peaks={name: peak_bytes(partial(one, 0), device=shape.device) for name, one in work.items()},
        detail=f"{shape.pairs} pairs of length {shape.pair_length}, {edges:,} edges; a unit is all scores",
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

        sides = (one.clean.inputs, one.counterfactual.inputs)
        found.append(attribution_patching.attribution_patch(bridge, *sides, metric, config))
    return found


def bridge_passes(bridge: TransformerBridge, pair: Pair) -> list[AttributionResult]:
    """TransformerLens' tool with nothing to score: the same forwards and backwards with what they keep, pair by pair.

    Its loop in Python over edges and positions, which scores one at a time, and its check of each layer's heads are
    left out; so are all scores.
    """
    with patch.multiple(
        attribution_patching,
        enumerate_edges=lambda _model, _cache: [],
        _edge_effects=lambda _clean, _corrupt, _edges: {},
        _check_attention_write_is_head_sum=lambda _cache, _n_layers: None,
    ):
        return bridge_scores(bridge, pair)


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
