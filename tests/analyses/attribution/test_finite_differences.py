"""Edge attribution against a plain forward pass in float64: finite differences, and integrals one point at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from analyses.attribution import EdgeAttribution
from analyses.examples import Examples
from analyses.graph import EMBED, Sender, edge_mask, edges, receivers, senders
from analyses.heads import Head
from tasks import Batch, Pair, get_task
from tests.analyses.attribution.models import DIRECTIONS, SETTINGS, model_of, of_edges, pair_for
from training import HookedTransformer

NOTHING: Mapping[str, Tensor] = {}


@dataclass(frozen=True)
class Naive:
    """A plain forward pass, head by head, in which every receiver reads a residual stream of its own."""

    model: HookedTransformer
    task_head: int

    def run(
        self, tokens: Tensor, *, added: Mapping[str, Tensor] = NOTHING, instead: Mapping[str, Tensor] = NOTHING
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits at all positions, and what each sender writes.

        Args:
            tokens: [batch, pos].
            added: What is added to the stream as some receivers read it.
            instead: What some senders write instead.
        """
        config = self.model.config
        embedded = self.model.embed.W_E[tokens]
        if config.positions == "learned":
            embedded = embedded + self.model.pos_embed.W_pos[: tokens.shape[1]]
        stream = instead.get(EMBED, embedded)
        wrote = {EMBED: stream}
        for layer, block in enumerate(self.model.blocks):
            heads = {}
            for head in range(config.n_heads):
                inputs = {}
                for name in "qkv":
                    place = head if name == "q" else head * config.n_key_value_heads // config.n_heads
                    inputs[name] = self.norm(block.ln1, stream + added.get(f"{layer}.{place}.{name}", 0))
                heads[f"{layer}.{head}"] = self.head(layer, head, inputs)
            for name, written in heads.items():
                wrote[name] = instead.get(name, written)
                stream = stream + wrote[name]
            stream = stream + block.attn.b_O
            written = self.mlp(block.mlp, self.norm(block.ln2, stream + added.get(f"{layer}.mlp", 0)))
            name = f"{layer}.mlp"
            wrote[name] = instead.get(name, written)
            stream = stream + wrote[name]
        last = self.norm(self.model.ln_final, stream + added.get("logits", 0))
        W_U, b_U = self.model.W_U, self.model.b_U
        if config.task_heads > 1:
            W_U, b_U = W_U[self.task_head], b_U[self.task_head]
        return last @ W_U + b_U, wrote

    def norm(self, norm: Any, x: Tensor) -> Tensor:
        if self.model.config.norm == "LN":
            x = x - x.mean(dim=-1, keepdim=True)
        x = x / ((x * x).mean(dim=-1, keepdim=True) + self.model.config.norm_eps) ** 0.5 * norm.w
        return x + norm.b if self.model.config.norm == "LN" else x

    def head(self, layer: int, head: int, inputs: Mapping[str, Tensor]) -> Tensor:
        config, attention = self.model.config, self.model.blocks[layer].attn
        group, width = head * config.n_key_value_heads // config.n_heads, inputs["q"].shape[1]
        q = inputs["q"] @ attention.W_Q[head] + attention.b_Q[head]
        k = inputs["k"] @ attention.W_K[group] + attention.b_K[group]
        v = inputs["v"] @ attention.W_V[group] + attention.b_V[group]
        if config.positions == "rotary":
            q, k = self.turned(q), self.turned(k)
        logits = q @ k.transpose(1, 2) / config.d_head**0.5
        if config.temperature == "log_n":
            logits = logits * attention.beta * torch.arange(1, width + 1).double().log()[:, None]
        mask = torch.ones(width, width, dtype=torch.bool).triu(1)
        return logits.masked_fill(mask, -torch.inf).softmax(dim=-1) @ v @ attention.W_O[head]

    def turned(self, x: Tensor) -> Tensor:
        half, places = x.shape[-1] // 2, torch.arange(x.shape[1]).double()[:, None]
        angles = places * self.model.config.rotary_base ** -(torch.arange(half).double() / half)
        one, other = x[..., :half], x[..., half:]
        return torch.cat((one * angles.cos() - other * angles.sin(), other * angles.cos() + one * angles.sin()), dim=-1)

    def mlp(self, mlp: Any, x: Tensor) -> Tensor:
        act = getattr(torch.nn.functional, self.model.config.activation)
        if self.model.config.mlp == "gated":
            hidden = act(x @ mlp.W_gate) * (x @ mlp.W_in + mlp.b_in)
        else:
            hidden = act(x @ mlp.W_in + mlp.b_in)
        return hidden @ mlp.W_out + mlp.b_out

    def metric(self, logits: Tensor, pair: Pair) -> Tensor:
        """The logit difference of each example, over the scored tokens that differ."""
        values = []
        for row in range(len(pair.clean)):
            places = [place for place in range(pair.clean.tokens.shape[1]) if pair.differs[row, place]]
            clean, other = pair.clean.tokens[row], pair.counterfactual.tokens[row]
            each = [logits[row, place - 1, clean[place]] - logits[row, place - 1, other[place]] for place in places]
            values.append(sum(each, start=torch.zeros(())) / len(each))
        return torch.stack(values)


def repeated(pair: Pair, times: int) -> Pair:
    """The pair's examples, all of them so many times."""
    sides = [
        Batch(side.tokens.repeat(times, 1), side.scored.repeat(times, 1)) for side in (pair.clean, pair.counterfactual)
    ]
    return Pair(*sides)


@torch.no_grad()
def by_differences(naive: Naive, pair: Pair, direction: str, *, step: float) -> Tensor:
    """(m(edge's input + step) - m(edge's input - step)) / (2 step) for a step along the sender's difference."""
    config = naive.model.config
    found, n = edges(config), len(pair.clean)
    clean, other = (naive.run(side.inputs)[1] for side in (pair.clean, pair.counterfactual))
    base = pair.clean if direction == "noise" else pair.counterfactual
    metrics = []
    for sign in (step, -step):
        added: dict[str, Tensor] = {}
        for place, edge in enumerate(found):
            whole = added.setdefault(
                str(edge.receiver), torch.zeros(len(found), *clean[EMBED].shape, dtype=torch.float64)
            )
            whole[place] = sign * (clean[str(edge.sender)] - other[str(edge.sender)])
        tokens = base.inputs.repeat(len(found), 1)
        logits, _ = naive.run(tokens, added={name: value.flatten(0, 1) for name, value in added.items()})
        metrics.append(naive.metric(logits, repeated(pair, len(found))).view(len(found), n))
    return (metrics[0] - metrics[1]) / (2 * step)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", SETTINGS)
def test_equals_finite_differences(name: str, direction: Any) -> None:
    model, pair = model_of(name), pair_for()
    task_head = model.config.task_heads - 1
    wanted = by_differences(Naive(model, task_head), pair, direction, step=1e-5)
    scores = EdgeAttribution(direction=direction).scores(model, Examples.of_pair(pair, task_head=task_head))
    assert (
        wanted.abs().amax(dim=1) > 1e-6
    ).float().mean() > 0.65  # what a query at a changed token reads is no difference
    torch.testing.assert_close(of_edges(scores, model), wanted, rtol=1e-6, atol=1e-7)
    assert not scores[:, torch.from_numpy(~edge_mask(model.config))].any()


@pytest.mark.parametrize("task_name", ["multiply_cot", "mqar", "shortest_path"])
def test_equals_finite_differences_where_answers_differ_in_length(task_name: str) -> None:
    task = get_task(task_name, **({"rows": 3, "columns": 3} if task_name == "shortest_path" else {}))
    model, pair = model_of("rotary", task), pair_for(task, n=4, length=4)
    for direction in DIRECTIONS:
        wanted = by_differences(Naive(model, 0), pair, direction, step=1e-5)
        scores = EdgeAttribution(direction=direction).scores(model, Examples.of_pair(pair))
        torch.testing.assert_close(of_edges(scores, model), wanted, rtol=1e-6, atol=1e-7)


def gradients(naive: Naive, pair: Pair, base: Batch, instead: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradient at every receiver's input, in a run where some senders write something else."""
    shape = (*base.inputs.shape, naive.model.config.d_model)
    added = {
        str(one): torch.zeros(shape, dtype=torch.float64, requires_grad=True) for one in receivers(naive.model.config)
    }
    logits, _ = naive.run(base.inputs, added=added, instead=instead)
    found = torch.autograd.grad(
        naive.metric(logits, pair).sum(), list(added.values()), allow_unused=True, materialize_grads=True
    )
    return dict(zip(added, found, strict=True))


def moved_with(sender: Sender, names: list[str], method: str) -> tuple[str, ...]:
    """What lies between the two runs where the gradients of a sender's edges are taken."""
    if method == "EAP-IG-inputs" or isinstance(sender, str):
        return (EMBED,)
    if isinstance(sender, Head):
        return tuple(one for one in names if one.startswith(f"{sender.layer}.") and "mlp" not in one)
    return (str(sender),)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", ["rotary", "learned, plain MLP, all biases", "log_n, rotary, grouped", "one layer"])
@pytest.mark.parametrize("method", ["EAP-IG-inputs", "EAP-IG-activations"])
def test_equals_gradients_averaged_one_point_at_a_time(name: str, direction: Any, method: Any) -> None:
    steps, model, pair = 3, model_of(name), pair_for()
    naive = Naive(model, 0)
    base = pair.clean if direction == "noise" else pair.counterfactual
    clean, other = (naive.run(side.inputs)[1] for side in (pair.clean, pair.counterfactual))
    kept = naive.run(base.inputs)[1]
    wanted = torch.zeros(len(edges(model.config)), len(pair.clean), dtype=torch.float64)
    for alpha in (1 / 6, 3 / 6, 5 / 6):
        between = {one: other[one] + alpha * (clean[one] - other[one]) for one in kept}
        found: dict[tuple[str, ...], dict[str, Tensor]] = {}
        for place, edge in enumerate(edges(model.config)):
            moved = moved_with(edge.sender, list(kept), method)
            if moved not in found:
                earlier = list(kept)[: list(kept).index(moved[0])]
                instead = {one: kept[one] for one in earlier} | {one: between[one] for one in moved}
                found[moved] = gradients(naive, pair, base, instead)
            product = (clean[str(edge.sender)] - other[str(edge.sender)]) * found[moved][str(edge.receiver)]
            wanted[place] += product.sum(dim=(1, 2)).detach() / steps
    scores = EdgeAttribution(method=method, direction=direction, steps=steps).scores(model, Examples.of_pair(pair))
    torch.testing.assert_close(of_edges(scores, model), wanted, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("method", ["EAP-IG-inputs", "EAP-IG-activations"])
def test_scores_of_the_embeddings_edges_sum_to_the_difference_of_the_runs(method: Any) -> None:
    # d m / d embedding is the sum over its edges, so their integral is m(clean) - m(counterfactual), by either method;
    # midpoints miss it by the order of 1 / steps^2.
    model, pair = model_of("rotary"), pair_for()
    naive = Naive(model, 0)
    runs = [naive.metric(naive.run(side.inputs)[0], pair).detach() for side in (pair.clean, pair.counterfactual)]
    missed = []
    for steps in (10, 20, 40):
        scores = EdgeAttribution(method=method, steps=steps).scores(model, Examples.of_pair(pair))
        missed.append((scores[:, 0].sum(dim=-1) - (runs[0] - runs[1])).abs().max().item())
    assert (runs[0] - runs[1]).abs().max() > 1
    assert missed[2] < 2e-3
    assert missed[2] < missed[1] / 3 < missed[0] / 9


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_scores_out_of_a_sublayer_sum_to_the_effect_of_patching_it(direction: Any) -> None:
    model, pair = model_of("none, LN, gelu"), pair_for()
    naive = Naive(model, 0)
    sides = (pair.clean, pair.counterfactual) if direction == "noise" else (pair.counterfactual, pair.clean)
    base, wrote = naive.run(sides[0].inputs)
    other = naive.run(sides[1].inputs)[1]
    scores = EdgeAttribution(method="EAP-IG-activations", direction=direction, steps=40).scores(
        model, Examples.of_pair(pair)
    )
    rows = {str(sender): row for row, sender in enumerate(senders(model.config))}
    for moved in (["0.0", "0.1"], ["0.mlp"], ["1.0", "1.1"], ["1.mlp"]):
        patched, _ = naive.run(sides[0].inputs, instead={one: other[one] for one in moved})
        effect = naive.metric(base, pair) - naive.metric(patched, pair)
        effect = effect.detach() * (1 if direction == "noise" else -1)
        found = scores[:, [rows[one] for one in moved]].sum(dim=(1, 2))
        torch.testing.assert_close(found, effect, rtol=1e-3, atol=1e-3)
    assert wrote.keys() == rows.keys()


def test_inputs_integrals_are_the_same_in_both_directions() -> None:
    model, pair = model_of("rotary"), pair_for()
    one, other = (
        EdgeAttribution(method="EAP-IG-inputs", direction=way).scores(model, Examples.of_pair(pair))
        for way in DIRECTIONS
    )
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
