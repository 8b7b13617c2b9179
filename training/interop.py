"""To TransformerLens' native bridge, and from its bridges, weights and function unchanged."""

import math
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Generator, Tensor
from transformer_lens.model_bridge import TransformerBridge

from tasks import InvalidValueError, Vocabulary
from training.config import ModelConfig
from training.model import HookedTransformer
from training.model.layout import from_linear
from training.model.native import NAMES, POSITIONS, TURNED
from training.pretrained.architecture import ARCHITECTURES, read_architecture
from training.pretrained.fields import Fields

_BIASED = {
    "none": set(),
    "qkv": {"q", "k", "v"},
    "attention": {"q", "k", "v", "o"},
    "all": {"q", "k", "v", "o", "in", "gate", "out", "unembed"},
}
"""The bridge's maps that have biases, by our name for it."""

_NATIVE = "TransformerLensNative"
_NORMS = ("LN", "RMS")
_ACTIVATIONS = ("relu", "gelu", "silu")


def to_transformer_lens(model: HookedTransformer, *, n_ctx: int = 2048) -> TransformerBridge:
    """What `model.to_transformer_lens` gives: a native bridge that computes what the model computes."""
    return model.to_transformer_lens(n_ctx=n_ctx)


def from_transformer_lens(bridge: TransformerBridge, vocabulary: Vocabulary) -> HookedTransformer:
    """The model that computes what a TransformerLens bridge computes, with a copy of its weights.

    Of a native bridge, biases that are all zero are left out, and an unembedding equal to the embedding is tied to it;
    for rotary positions see `HookedTransformer.to_transformer_lens`. Of a bridge around a model of the transformers
    library, its configuration is read as that of a checkpoint (`training.pretrained`).

    Args:
        bridge: A bridge made by `TransformerBridge.boot_native`, or around a pretrained model of the Llama family.
        vocabulary: What the bridge's token ids stand for.

    Raises:
        InvalidValueError: The bridge is of another kind, has an option that the model does not have, or the vocabulary
            has another size.
    """
    _refuse_processed(bridge)
    state: dict[str, Tensor] = bridge.state_dict()
    native = bridge.cfg.architecture == _NATIVE
    config = _config(bridge.cfg, state) if native else _config_of_checkpoint(bridge)
    model = HookedTransformer(config, vocabulary=vocabulary, generator=Generator())
    weights = model.state_dict()
    for name in weights:
        path, leaf = name.rsplit(".", maxsplit=1)
        theirs = f"{path}.{NAMES[leaf]}"
        if theirs not in state:
            continue  # a bias of the gated MLP: zero
        weight = from_linear(leaf, state[theirs], d_head=config.d_head)
        if native and config.positions == "rotary" and leaf in TURNED:
            weight = rearrange(weight, "... (pair part) -> ... (part pair)", part=2)
        weights[name] = weight
    model.load_state_dict(weights)
    return model.to(state["embed.weight"].device, state["embed.weight"].dtype)


def _refuse_processed(bridge: TransformerBridge) -> None:
    architecture = bridge.cfg.architecture
    if bridge.compatibility_mode or architecture not in (_NATIVE, *ARCHITECTURES):
        kind = "in compatibility mode" if bridge.compatibility_mode else f"of architecture {architecture!r}"
        raise InvalidValueError(
            f"the bridge is {kind}; only bridges as TransformerBridge.boot_native makes them, and unprocessed ones of "
            f"{', '.join(ARCHITECTURES)}, can be converted"
        )


def _config_of_checkpoint(bridge: TransformerBridge) -> ModelConfig:
    """The configuration of the transformers model in a bridge."""
    original: Any = bridge.original_model
    values = {**original.config.to_dict(), "architectures": [bridge.cfg.architecture]}
    return read_architecture(Fields(Path("the bridge's original_model.config"), values))


def _refuse_foreign(cfg: Any) -> None:
    whole = (None, cfg.d_head)
    options = {
        f"normalization_type {cfg.normalization_type!r}": cfg.normalization_type not in _NORMS,
        "final_rms with 'LN'": bool(cfg.final_rms) and cfg.normalization_type != "RMS",
        f"positional_embedding_type {cfg.positional_embedding_type!r}": cfg.positional_embedding_type
        not in POSITIONS.values(),
        f"rotary_dim {cfg.rotary_dim}": cfg.positional_embedding_type == "rotary" and cfg.rotary_dim not in whole,
        f"rope_scaling {_kind(cfg)!r}": _kind(cfg) not in ("default", "linear", "llama3"),
        f"act_fn {cfg.act_fn!r}": cfg.act_fn not in _ACTIVATIONS,
        "attn_only": cfg.attn_only,
        f"attention_dir {cfg.attention_dir!r}": cfg.attention_dir != "causal",
        f"attn_scale {cfg.attn_scale:g}": cfg.use_attn_scale
        and cfg.attn_scale > 0
        and not math.isclose(cfg.attn_scale, math.sqrt(cfg.d_head)),
        "attn_scores_soft_cap": cfg.attn_scores_soft_cap > 0,
        "output_logits_soft_cap": cfg.output_logits_soft_cap > 0,
        f"d_vocab_out {cfg.d_vocab_out}": cfg.d_vocab_out not in (-1, cfg.d_vocab),
    }
    for option, unsupported in options.items():
        if unsupported:
            raise InvalidValueError(f"HookedTransformer has no {option}; use the bridge as it is")


def _config(cfg: Any, state: dict[str, Tensor]) -> ModelConfig:
    _refuse_foreign(cfg)
    positions = {theirs: ours for ours, theirs in POSITIONS.items()}[cfg.positional_embedding_type]
    biased = {name.rsplit(".", maxsplit=2)[-2] for name, bias in state.items() if name.endswith(".bias") and bias.any()}
    biased -= {"ln1", "ln2", "ln_final"}
    tied = torch.equal(state["unembed.weight"], state["embed.weight"])
    return ModelConfig.read(
        {
            "n_layers": cfg.n_layers,
            "n_heads": cfg.n_heads,
            "n_key_value_heads": cfg.n_key_value_heads or cfg.n_heads,
            "d_model": cfg.d_model,
            "d_head": cfg.d_head,
            "d_mlp": cfg.d_mlp,
            "d_vocab": cfg.d_vocab,
            "positions": positions,
            "n_ctx": cfg.n_ctx if positions == "learned" else 0,
            "rotary_base": cfg.rotary_base,
            "rotary_scaling": _our_scaling(cfg),
            "norm": cfg.normalization_type,
            "norm_eps": cfg.eps,
            "mlp": "gated" if cfg.gated_mlp else "plain",
            "activation": cfg.act_fn,
            "biases": next(kind for kind, maps in _BIASED.items() if biased <= maps),
            "unembedding": "tied" if tied else "separate",
        }
    )


def _kind(cfg: Any) -> str:
    """How the bridge scales its rotary frequencies."""
    scaling = getattr(cfg, "rope_scaling", None) or {}
    return scaling.get("rope_type") or scaling.get("type") or "default"


def _our_scaling(cfg: Any) -> dict[str, Any]:
    """The bridge's rotary scaling in our terms; what it leaves out has the values that the bridge takes."""
    kind, scaling = _kind(cfg), getattr(cfg, "rope_scaling", None) or {}
    factor = scaling.get("factor", 1.0)
    if kind == "default" or factor <= 1:
        return {}
    if kind == "linear":
        return {"kind": kind, "factor": factor}
    low, high = scaling.get("low_freq_factor", 1.0), scaling.get("high_freq_factor", 4.0)
    original = scaling.get("original_max_position_embeddings", 8192)
    return {"kind": kind, "factor": factor, "low": low, "high": high, "original": original}
