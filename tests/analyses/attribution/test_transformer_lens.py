"""Attribution against TransformerLens' `attribution_patch`, one pair at a time, with the same weights.

Its edges need a bridge to one of the transformers library's models, as the native bridge has no per-head inputs.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformer_lens.tools.analysis.attribution_patching import (
    AttributionResult,
    EdgeAttributionConfig,
    Node,
    attribution_patch,
)
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from analyses.attribution import AttributionPatching, EdgeAttribution
from analyses.examples import Examples
from analyses.graph import receivers, senders
from tasks import Pair
from tests.analyses.attribution.models import TASK, pair_for
from tests.analyses.models import random_model, seeded
from training import HookedTransformer
from training.interop import to_transformer_lens

LLAMA: dict[str, dict[str, Any]] = {
    "rotary, RMS, gated": {},
    "one layer": {"n_layers": 1},
    "tied": {"unembedding": "tied"},
    "qkv biases": {"biases": "qkv"},
}
GPT2: dict[str, dict[str, Any]] = {
    "learned, LN, plain, all biases": {},
    "tied": {"unembedding": "tied"},
    "relu": {"activation": "relu"},
}
GPT2_SHAPE = {"positions": "learned", "n_ctx": 16, "norm": "LN", "mlp": "plain", "activation": "gelu", "biases": "all"}


def our_model(**settings: Any) -> HookedTransformer:
    """A model in float64 whose norms and biases matter."""
    model = random_model(TASK.vocabulary, **{"n_layers": 2, "initializer_range": 0.3, **settings})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".W_" not in name and not name.endswith("b_U"):  # neither of their models has a bias of the unembedding
                parameter.add_(torch.randn(parameter.shape, generator=seeded(2)) * 0.2)
    return model.double()


def joined(weights: Tensor) -> Tensor:
    """[head, d_model, d_head] as one matrix [d_model, head * d_head]."""
    return weights.transpose(0, 1).flatten(1)


def bridge_of(kind: Any, config: Any, state: dict[str, Tensor]) -> TransformerBridge:
    with torch.random.fork_rng(devices=[]):  # models and bridges draw weights from the global generator when made
        theirs = kind(config).double()
        theirs.load_state_dict(state)
        return build_bridge_from_module(theirs, kind.__name__, hf_config=config).eval()


def llama(model: HookedTransformer) -> TransformerBridge:
    c = model.config
    config = LlamaConfig(
        vocab_size=c.d_vocab, hidden_size=c.d_model, intermediate_size=c.d_mlp, num_hidden_layers=c.n_layers,
        num_attention_heads=c.n_heads, num_key_value_heads=c.n_key_value_heads, head_dim=c.d_head,
        max_position_embeddings=64, rms_norm_eps=c.norm_eps, attention_bias=c.biases == "qkv",
        rope_parameters={"rope_theta": c.rotary_base, "rope_type": "default"},
    )  # fmt: skip
    state = {
        "model.embed_tokens.weight": model.W_E,
        "model.norm.weight": model.ln_final.w,
        "lm_head.weight": model.W_U.T,
    }
    for layer, block in enumerate(model.blocks):
        attention, place = block.attn, f"model.layers.{layer}"
        state |= {
            f"{place}.input_layernorm.weight": block.ln1.w,
            f"{place}.post_attention_layernorm.weight": block.ln2.w,
        }
        for name in "qkv":
            state[f"{place}.self_attn.{name}_proj.weight"] = joined(getattr(attention, f"W_{name.upper()}")).T
            if c.biases == "qkv":
                state[f"{place}.self_attn.{name}_proj.bias"] = getattr(attention, f"b_{name.upper()}").flatten()
        state[f"{place}.self_attn.o_proj.weight"] = attention.W_O.flatten(0, 1).T
        if c.biases == "qkv":
            state[f"{place}.self_attn.o_proj.bias"] = attention.b_O
        for theirs_name, ours in (("gate", "W_gate"), ("up", "W_in"), ("down", "W_out")):
            state[f"{place}.mlp.{theirs_name}_proj.weight"] = getattr(block.mlp, ours).T
    return bridge_of(LlamaForCausalLM, config, state)


def gpt2(model: HookedTransformer) -> TransformerBridge:
    c = model.config
    config = GPT2Config(
        vocab_size=c.d_vocab, n_positions=c.n_ctx, n_embd=c.d_model, n_layer=c.n_layers, n_head=c.n_heads,
        n_inner=c.d_mlp, activation_function=c.activation, layer_norm_epsilon=c.norm_eps,
        tie_word_embeddings=False, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    names = {"wte.weight": model.W_E, "wpe.weight": model.pos_embed.W_pos}
    names |= {"ln_f.weight": model.ln_final.w, "ln_f.bias": model.ln_final.b}
    for layer, block in enumerate(model.blocks):
        attention, mlp = block.attn, block.mlp
        maps = [joined(weight) for weight in (attention.W_Q, attention.W_K, attention.W_V)]
        biases = [bias.flatten() for bias in (attention.b_Q, attention.b_K, attention.b_V)]
        names |= {
            f"h.{layer}.{name}": weight
            for name, weight in {
                "ln_1.weight": block.ln1.w, "ln_1.bias": block.ln1.b,
                "ln_2.weight": block.ln2.w, "ln_2.bias": block.ln2.b,
                "attn.c_attn.weight": torch.cat(maps, dim=1), "attn.c_attn.bias": torch.cat(biases),
                "attn.c_proj.weight": attention.W_O.flatten(0, 1), "attn.c_proj.bias": attention.b_O,
                "mlp.c_fc.weight": mlp.W_in, "mlp.c_fc.bias": mlp.b_in,
                "mlp.c_proj.weight": mlp.W_out, "mlp.c_proj.bias": mlp.b_out,
            }.items()
        }  # fmt: skip
    state = {f"transformer.{name}": weight for name, weight in names.items()} | {"lm_head.weight": model.W_U.T}
    return bridge_of(GPT2LMHeadModel, config, state)


def by_their_tool(bridge: TransformerBridge, pair: Pair, granularity: Any) -> list[AttributionResult]:
    """The result for each pair alone, with the logit difference over the scored tokens that differ."""
    results = []
    for row in range(len(pair.clean)):
        places = pair.differs[row].nonzero()[:, 0]
        right, wrong = pair.clean.tokens[row, places], pair.counterfactual.tokens[row, places]

        def metric(logits: Tensor, places: Tensor = places, right: Tensor = right, wrong: Tensor = wrong) -> Tensor:
            return (logits[0, places - 1, right] - logits[0, places - 1, wrong]).mean()

        clean, other = (side.inputs[row : row + 1] for side in (pair.clean, pair.counterfactual))
        results.append(attribution_patch(bridge, clean, other, metric, EdgeAttributionConfig(granularity=granularity)))
    return results


def name_of(node: Node) -> str:
    """The node's name in our graph."""
    kinds = {"embed": "embed", "attn_head_out": f"{node.layer}.{node.head}", "mlp_out": f"{node.layer}.mlp",
             "mlp_in": f"{node.layer}.mlp", "logits": "logits"}  # fmt: skip
    return kinds.get(node.kind, f"{node.layer}.{node.head}.{node.kind[0]}")


def check_edges(model: HookedTransformer, bridge: TransformerBridge) -> None:
    pair = pair_for(n=4)
    assert torch.allclose(
        bridge(pair.clean.inputs), model(pair.clean.inputs), atol=1e-5
    )  # parts of theirs are in float32
    rows = {str(sender): row for row, sender in enumerate(senders(model.config))}
    columns = {str(receiver): column for column, receiver in enumerate(receivers(model.config))}
    wanted = torch.zeros(len(pair.clean), len(rows), len(columns), dtype=torch.float64)
    for example, result in enumerate(by_their_tool(bridge, pair, "edge")):
        for (sender, receiver), score in result.edge_scores.items():  # one at each position
            wanted[example, rows[name_of(sender)], columns[name_of(receiver)]] += score
    scores = EdgeAttribution(direction="denoise").scores(model, Examples.of_pair(pair))
    assert wanted.abs().max() > 0.1
    torch.testing.assert_close(scores, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LLAMA)
def test_edges_of_a_llama(name: str) -> None:
    model = our_model(**LLAMA[name])
    check_edges(model, llama(model))


@pytest.mark.parametrize("name", GPT2)
def test_edges_of_a_gpt2(name: str) -> None:
    model = our_model(**{**GPT2_SHAPE, **GPT2[name]})
    check_edges(model, gpt2(model))


def test_their_tool_refuses_edges_of_grouped_queries() -> None:
    # Ours are checked by finite differences instead; when theirs come, they should be compared here.
    model = our_model(n_key_value_heads=2)
    with pytest.raises(ValueError, match="GQA/MQA"):
        by_their_tool(llama(model), pair_for(), "edge")


@pytest.mark.parametrize(
    "settings", [{}, {"n_key_value_heads": 2}, {**GPT2_SHAPE}, {"norm": "LN", "mlp": "plain", "biases": "qkv"}]
)
def test_nodes_of_the_native_bridge(settings: dict[str, Any]) -> None:
    model, pair = our_model(**settings), pair_for(n=4)
    layers, heads = model.config.n_layers, model.config.n_heads
    z = torch.zeros(len(pair.clean), layers, heads, pair.clean.inputs.shape[1], dtype=torch.float64)
    mlp = torch.zeros(z[:, :, 0].shape, dtype=torch.float64)
    for example, result in enumerate(by_their_tool(to_transformer_lens(model), pair, "node")):
        for node, score in result.node_scores.items():
            if node.kind == "attn_head_out":
                z[example, node.layer, node.head, node.position] = score
            elif node.kind == "mlp_out":
                mlp[example, node.layer, node.position] = score
    scores = AttributionPatching(by="head_position", direction="denoise").scores(model, Examples.of_pair(pair))
    torch.testing.assert_close(scores, z, rtol=1e-5, atol=1e-6)
    analysis = AttributionPatching(site="mlp_out", by="layer_position", direction="denoise")
    torch.testing.assert_close(analysis.scores(model, Examples.of_pair(pair)), mlp, rtol=1e-5, atol=1e-6)
    assert min(z.abs().max(), mlp.abs().max()) > 0.1
