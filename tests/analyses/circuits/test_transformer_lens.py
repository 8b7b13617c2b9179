"""Circuits' faithfulness against TransformerLens' own tool, on the same weights.

Its edge tools refuse a native bridge (TransformerLens 4.3 has no per-head outputs there), and grouped queries. They
take a bridge around a module of Hugging Face's, so the weights are put into a Llama and a GPT-2.
"""

from typing import Any

import pytest
import torch
from einops import rearrange
from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module
from transformer_lens.tools.analysis.attribution_patching import Node, faithfulness
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from analyses.circuits import Circuit, run_edge_sets
from analyses.components import Part
from analyses.examples import Examples
from analyses.graph import EMBED, Edge
from tests.analyses.circuits.models import drawn_pair, model_with
from tests.analyses.models import seeded
from training import HookedTransformer


def llama(model: HookedTransformer) -> Any:
    c = model.config
    config = LlamaConfig(
        vocab_size=c.d_vocab, hidden_size=c.d_model, intermediate_size=c.d_mlp, num_hidden_layers=c.n_layers,
        num_attention_heads=c.n_heads, num_key_value_heads=c.n_heads, rms_norm_eps=c.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": c.rotary_base}, pad_token_id=0, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    config._attn_implementation = "eager"
    module = LlamaForCausalLM(config)
    weights = {"model.embed_tokens": model.W_E, "model.norm": model.ln_final.w, "lm_head": model.W_U.T}
    for layer, block in enumerate(model.blocks):
        place, attn = f"model.layers.{layer}", block.attn
        for name, weight in (("q", attn.W_Q), ("k", attn.W_K), ("v", attn.W_V)):
            weights[f"{place}.self_attn.{name}_proj"] = rearrange(weight, "h m d -> (h d) m")
        weights |= {
            f"{place}.self_attn.o_proj": rearrange(attn.W_O, "h d m -> m (h d)"),
            f"{place}.input_layernorm": block.ln1.w, f"{place}.post_attention_layernorm": block.ln2.w,
            f"{place}.mlp.gate_proj": block.mlp.W_gate.T,
            f"{place}.mlp.up_proj": block.mlp.W_in.T, f"{place}.mlp.down_proj": block.mlp.W_out.T,
        }  # fmt: skip
    module.load_state_dict({f"{name}.weight": weight for name, weight in weights.items()})
    return build_bridge_from_module(module.eval(), "LlamaForCausalLM", hf_config=config, device="cpu")


def gpt2(model: HookedTransformer) -> Any:
    c = model.config
    config = GPT2Config(
        vocab_size=c.d_vocab, n_positions=c.n_ctx, n_embd=c.d_model, n_layer=c.n_layers, n_head=c.n_heads,
        n_inner=c.d_mlp, activation_function="relu", layer_norm_epsilon=c.norm_eps, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    config._attn_implementation = "eager"
    module = GPT2LMHeadModel(config)
    weights = {
        "wte.weight": model.W_E, "wpe.weight": model.pos_embed.W_pos,
        "ln_f.weight": model.ln_final.w, "ln_f.bias": model.ln_final.b,
    }  # fmt: skip
    for layer, block in enumerate(model.blocks):
        place, attn, mlp = f"h.{layer}", block.attn, block.mlp
        weights |= {
            f"{place}.ln_1.weight": block.ln1.w, f"{place}.ln_1.bias": block.ln1.b,
            f"{place}.ln_2.weight": block.ln2.w, f"{place}.ln_2.bias": block.ln2.b,
            f"{place}.attn.c_attn.weight": torch.cat(
                [rearrange(weight, "h m d -> m (h d)") for weight in (attn.W_Q, attn.W_K, attn.W_V)], dim=1),
            f"{place}.attn.c_attn.bias": torch.cat([bias.flatten() for bias in (attn.b_Q, attn.b_K, attn.b_V)]),
            f"{place}.attn.c_proj.weight": attn.W_O.flatten(0, 1), f"{place}.attn.c_proj.bias": attn.b_O,
            f"{place}.mlp.c_fc.weight": mlp.W_in, f"{place}.mlp.c_fc.bias": mlp.b_in,
            f"{place}.mlp.c_proj.weight": mlp.W_out, f"{place}.mlp.c_proj.bias": mlp.b_out,
        }  # fmt: skip
    module.transformer.load_state_dict(weights)
    return build_bridge_from_module(module.eval(), "GPT2LMHeadModel", hf_config=config, device="cpu")


def nodes(edge: Edge, position: int) -> tuple[Node, Node]:
    """Their edge at a position."""
    sender, receiver = edge
    if sender == EMBED:
        source = Node("embed", position)
    elif isinstance(sender, Part):
        source = Node("mlp_out", position, sender.layer)
    else:
        source = Node("attn_head_out", position, sender.layer, sender.head)
    if receiver.input in ("mlp", "logits"):
        return source, Node({"mlp": "mlp_in"}.get(receiver.input, "logits"), position, receiver.layer)  # pyright: ignore[reportArgumentType]
    return source, Node(f"{receiver.input}_input", position, receiver.layer, receiver.head)  # pyright: ignore[reportArgumentType]


LEARNED = {"positions": "learned", "n_ctx": 12, "norm": "LN", "mlp": "plain", "activation": "relu", "biases": "all",
           "unembedding": "tied"}  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize(("settings", "convert"), [({}, llama), (LEARNED, gpt2)], ids=["llama", "gpt2"])
def test_equals_transformer_lens(settings: dict[str, Any], convert: Any) -> None:
    model = model_with(**settings)
    if model.config.biases == "all":
        model.b_U.zero_()  # a GPT-2 has none
    with torch.random.fork_rng(devices=[]):  # their modules draw weights when made
        bridge = convert(model)
    pair = drawn_pair(2)
    torch.testing.assert_close(bridge(pair.clean.inputs), model(pair.clean.inputs), rtol=1e-4, atol=1e-4)
    everything = Circuit.whole(model.config)
    drawn = [torch.rand(len(everything), generator=seeded(4)) < limit for limit in (0.4, 0.6, 0.8)]
    circuits = [
        Circuit(tuple(edge for edge, kept in zip(everything, row.tolist(), strict=True) if kept), model.config)
        for row in drawn
    ]
    run = run_edge_sets(model, Examples.of_pair(pair), circuits)
    values, clean, other = (part["logit_difference"] for part in (run.circuits, run.clean, run.counterfactual))
    for example in range(2):
        differs = pair.differs[example]
        right, wrong = (side.tokens[example, differs] for side in (pair.clean, pair.counterfactual))

        def logit_difference(
            logits: torch.Tensor, differs: Any = differs, right: Any = right, wrong: Any = wrong
        ) -> Any:
            read = logits[0, differs[1:]]
            return (read.gather(1, right[:, None]) - read.gather(1, wrong[:, None])).mean()

        for place, circuit in enumerate(circuits):
            kept = [nodes(edge, position) for edge in circuit for position in range(pair.clean.inputs.shape[1])]
            sides = (side.inputs[example : example + 1] for side in (pair.clean, pair.counterfactual))
            theirs = faithfulness(bridge, next(sides), next(sides), logit_difference, kept)
            ours = (values[place] - other)[example] / (clean - other)[example]
            assert theirs.full_metric == pytest.approx(clean[example].item(), abs=1e-4)
            assert theirs.corrupt_metric == pytest.approx(other[example].item(), abs=1e-4)
            assert ours.item() == pytest.approx(theirs.recovered, abs=1e-3)
