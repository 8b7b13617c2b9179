"""To TransformerLens' native bridge and back, weights and function unchanged."""

import math
from typing import Any

import torch
from einops import rearrange
from torch import Generator, Tensor
from transformer_lens.model_bridge import TransformerBridge

from tasks import InvalidValueError, Vocabulary
from training.config import ModelConfig
from training.model import HookedTransformer

_LAYOUTS = {
    "W_E": ("weight", "vocab d_model", "vocab d_model"),
    "W_pos": ("weight", "pos d_model", "pos d_model"),
    "w": ("weight", "d_model", "d_model"),
    "b": ("bias", "d_model", "d_model"),
    "W_Q": ("q.weight", "head d_model d_head", "(head d_head) d_model"),
    "W_K": ("k.weight", "head d_model d_head", "(head d_head) d_model"),
    "W_V": ("v.weight", "head d_model d_head", "(head d_head) d_model"),
    "W_O": ("o.weight", "head d_head d_model", "d_model (head d_head)"),
    "b_Q": ("q.bias", "head d_head", "(head d_head)"),
    "b_K": ("k.bias", "head d_head", "(head d_head)"),
    "b_V": ("v.bias", "head d_head", "(head d_head)"),
    "b_O": ("o.bias", "d_model", "d_model"),
    "W_in": ("in.weight", "d_model d_mlp", "d_mlp d_model"),
    "W_gate": ("gate.weight", "d_model d_mlp", "d_mlp d_model"),
    "W_out": ("out.weight", "d_mlp d_model", "d_model d_mlp"),
    "b_in": ("in.bias", "d_mlp", "d_mlp"),
    "b_out": ("out.bias", "d_model", "d_model"),
    "W_U": ("weight", "d_model vocab", "vocab d_model"),
    "b_U": ("bias", "vocab", "vocab"),
}
"""Our name of a weight, the bridge's, our axes, the bridge's axes."""

_TURNED = ("W_Q", "W_K", "b_Q", "b_K")
"""What rotary positions act on: we pair component i of a head with i + d_head/2, the native bridge 2i with 2i + 1."""

_NORMS = ("LN", "RMS")
_POSITIONS = {"learned": "standard", "rotary": "rotary"}
_ACTIVATIONS = ("relu", "gelu", "silu")


def to_transformer_lens(model: HookedTransformer, *, n_ctx: int = 2048) -> TransformerBridge:
    """A TransformerLens native bridge that computes what the model computes, with a copy of its weights.

    With rotary positions the components of each query and key are reordered within their head, (0, h/2, 1, h/2 + 1,
    ...) with h = d_head, because the bridge rotates adjacent pairs; nothing else depends on their order. The bridge's
    `hook_attn_scores` holds the pattern after the softmax, and ignores edits (TransformerLens 4.3).

    Args:
        model: The model.
        n_ctx: The greatest length that the bridge will run; learned positions have their own.

    Raises:
        InvalidValueError: An option of the model that the native bridge does not have.
    """
    config = model.config
    weights = dict(model.named_parameters()) | dict(model.named_buffers()) | {"unembed.W_U": model.W_U}
    _refuse_unsupported(config, weights)
    with torch.random.fork_rng(devices=[]):  # the bridge's layers draw weights from the global generator when made
        bridge = TransformerBridge.boot_native(  # pyright: ignore[reportAttributeAccessIssue]
            _native_config(config, n_ctx), device=model.device, dtype=model.dtype
        )
    state = {}
    for name, weight in weights.items():
        path, leaf = name.rsplit(".", maxsplit=1)
        if config.mlp == "gated" and leaf in ("b_in", "b_out"):
            continue  # the bridge's gated MLP has none; ours are zero, or the model would have been refused
        if config.positions == "rotary" and leaf in _TURNED:
            weight = rearrange(weight, "... (part pair) -> ... (pair part)", part=2)
        theirs, our_axes, their_axes = _LAYOUTS[leaf]
        state[f"{path}.{theirs}"] = rearrange(weight.detach(), f"{our_axes} -> {their_axes}")
    bridge.load_state_dict(state)
    return bridge.eval()


def from_transformer_lens(bridge: TransformerBridge, vocabulary: Vocabulary) -> HookedTransformer:
    """The model that computes what a TransformerLens native bridge computes, with a copy of its weights.

    Biases that are all zero are left out, and an unembedding equal to the embedding is tied to it. For rotary positions
    see `to_transformer_lens`.

    Args:
        bridge: A bridge made by `TransformerBridge.boot_native`.
        vocabulary: What the bridge's token ids stand for.

    Raises:
        InvalidValueError: The bridge is not a native one, has an option that the model does not have, or the
            vocabulary has another size.
    """
    cfg = bridge.cfg
    _refuse_foreign(bridge)
    state: dict[str, Tensor] = bridge.state_dict()
    config = _config(cfg, state)
    model = HookedTransformer(config, vocabulary=vocabulary, generator=Generator())
    weights = model.state_dict()
    for name in weights:
        path, leaf = name.rsplit(".", maxsplit=1)
        theirs, our_axes, their_axes = _LAYOUTS[leaf]
        if f"{path}.{theirs}" not in state:
            continue  # a bias of the gated MLP: zero
        sizes = {"d_head": config.d_head} if "d_head" in our_axes else {}
        weight = rearrange(state[f"{path}.{theirs}"], f"{their_axes} -> {our_axes}", **sizes)
        if config.positions == "rotary" and leaf in _TURNED:
            weight = rearrange(weight, "... (pair part) -> ... (part pair)", part=2)
        weights[name] = weight
    model.load_state_dict(weights)
    return model.to(state["embed.weight"].device, state["embed.weight"].dtype)


def _refuse_unsupported(config: ModelConfig, weights: dict[str, Tensor]) -> None:
    options = {
        f"positions {config.positions!r}": config.positions not in _POSITIONS,
        f"temperature {config.temperature!r}": config.temperature != "none",
        f"task_heads {config.task_heads}": config.task_heads > 1,
        f"rotary_base {config.rotary_base:g} (it keeps whole numbers only)": config.rotary_base % 1 != 0,
        "biases 'all' with mlp 'gated' (its gated MLP has none)": config.mlp == "gated"
        and any(bool(bias.any()) for name, bias in weights.items() if name.endswith(("mlp.b_in", "mlp.b_out"))),
    }
    for option, unsupported in options.items():
        if unsupported:
            raise InvalidValueError(
                f"TransformerLens' native bridge has no {option}; use the model as it is: run_with_cache, "
                "run_with_hooks, ActivationCache and transformer_lens.patching work on it"
            )


def _native_config(config: ModelConfig, n_ctx: int) -> dict[str, Any]:
    return {
        "n_layers": config.n_layers,
        "n_heads": config.n_heads,
        "n_key_value_heads": config.n_key_value_heads,
        "d_model": config.d_model,
        "d_head": config.d_head,
        "d_mlp": config.d_mlp,
        "d_vocab": config.d_vocab,
        "n_ctx": config.n_ctx or n_ctx,
        "positional_embedding_type": _POSITIONS[config.positions],
        "rotary_base": config.rotary_base,
        "normalization_type": config.norm,
        "eps": config.norm_eps,
        "gated_mlp": config.mlp == "gated",
        "act_fn": config.activation,
        "init_weights": False,
    }


def _refuse_foreign(bridge: TransformerBridge) -> None:
    cfg = bridge.cfg
    if cfg.architecture != "TransformerLensNative" or bridge.compatibility_mode:
        kind = "in compatibility mode" if bridge.compatibility_mode else f"of architecture {cfg.architecture!r}"
        raise InvalidValueError(
            f"the bridge is {kind}; only bridges as TransformerBridge.boot_native makes them can be converted"
        )
    whole = (None, cfg.d_head)
    options = {
        f"normalization_type {cfg.normalization_type!r}": cfg.normalization_type not in _NORMS,
        "final_rms with 'LN'": bool(cfg.final_rms) and cfg.normalization_type != "RMS",
        f"positional_embedding_type {cfg.positional_embedding_type!r}": cfg.positional_embedding_type
        not in _POSITIONS.values(),
        f"rotary_dim {cfg.rotary_dim}": cfg.positional_embedding_type == "rotary" and cfg.rotary_dim not in whole,
        "rope_scaling": bool(getattr(cfg, "rope_scaling", None)),
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
    positions = {theirs: ours for ours, theirs in _POSITIONS.items()}[cfg.positional_embedding_type]
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
            "norm": cfg.normalization_type,
            "norm_eps": cfg.eps,
            "mlp": "gated" if cfg.gated_mlp else "plain",
            "activation": cfg.act_fn,
            "biases": "none" if not biased else "qkv" if biased <= {"q", "k", "v"} else "all",
            "unembedding": "tied" if tied else "separate",
        }
    )
