"""A TransformerLens bridge of a Hugging Face Llama with our weights: its edge tools refuse the native bridge."""

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import LlamaConfig, LlamaForCausalLM

from training import HookedTransformer
from training.model.block import Block


def llama_bridge(model: HookedTransformer) -> TransformerBridge:
    """The bridge, in evaluation mode and where our model is.

    Its model pairs a query's components as ours does, so nothing is reordered.
    """
    config = model.config
    shape = LlamaConfig(
        vocab_size=config.d_vocab,
        hidden_size=config.d_model,
        intermediate_size=config.d_mlp,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        num_key_value_heads=config.n_key_value_heads,
        head_dim=config.d_head,
        rms_norm_eps=config.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rotary_base},
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):  # the layers draw weights from the global generator when made
        llama = LlamaForCausalLM(shape)
    llama.load_state_dict(_weights(model))
    llama = llama.eval().to(model.device)  # pyright: ignore[reportArgumentType]  (its wrapper hides the signature)
    return build_bridge_from_module(llama, "LlamaForCausalLM", hf_config=shape)


def _weights(model: HookedTransformer) -> dict[str, torch.Tensor]:
    named = {
        "model.embed_tokens": model.W_E,
        "model.norm": model.ln_final.w,
        "lm_head": model.W_U.T,
    }
    for layer, block in enumerate(model.blocks):
        named |= {f"model.layers.{layer}.{name}": weight for name, weight in _layer_weights(block).items()}
    return {f"{name}.weight": weight.detach() for name, weight in named.items()}


def _layer_weights(block: Block) -> dict[str, torch.Tensor]:
    attn, mlp = block.attn, block.mlp
    maps = {f"self_attn.{name}_proj": W for name, W in (("q", attn.W_Q), ("k", attn.W_K), ("v", attn.W_V))}
    return {
        **{name: W.transpose(0, 1).flatten(1).T for name, W in maps.items()},
        "self_attn.o_proj": attn.W_O.flatten(0, 1).T,
        "input_layernorm": block.ln1.w,
        "post_attention_layernorm": block.ln2.w,
        "mlp.gate_proj": mlp.W_gate.T,
        "mlp.up_proj": mlp.W_in.T,
        "mlp.down_proj": mlp.W_out.T,
    }
