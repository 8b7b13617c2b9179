"""The model as TransformerLens' native bridge: what each part is called there, and what it has not."""

from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from tasks import InvalidValueError
from training.config import ModelConfig
from training.model.layout import to_linear

NAMES = {
    "W_E": "weight",
    "W_pos": "weight",
    "w": "weight",
    "b": "bias",
    "W_Q": "q.weight",
    "W_K": "k.weight",
    "W_V": "v.weight",
    "W_O": "o.weight",
    "b_Q": "q.bias",
    "b_K": "k.bias",
    "b_V": "v.bias",
    "b_O": "o.bias",
    "W_in": "in.weight",
    "W_gate": "gate.weight",
    "W_out": "out.weight",
    "b_in": "in.bias",
    "b_out": "out.bias",
    "W_U": "weight",
    "b_U": "bias",
}
"""Our name of a weight, and the bridge's."""

TURNED = ("W_Q", "W_K", "b_Q", "b_K")
"""What rotary positions act on: we pair component i of a head with i + d_head/2, the native bridge 2i with 2i + 1."""

POSITIONS = {"learned": "standard", "rotary": "rotary"}
"""Our kinds of positions, and the bridge's."""


def to_native(config: ModelConfig, weights: Mapping[str, Tensor], *, n_ctx: int) -> Any:
    """A `TransformerBridge` with a copy of a model's weights (`interop.to_transformer_lens`).

    Args:
        config: The model's shape.
        weights: Its parameters and buffers, and W_U, by name.
        n_ctx: The greatest length that the bridge will run; learned positions have their own.

    Raises:
        InvalidValueError: An option of the model that the native bridge does not have.
    """
    from transformer_lens.model_bridge import TransformerBridge

    _refuse_unsupported(config, weights)
    like = weights["embed.W_E"]
    with torch.random.fork_rng(devices=[]):  # the bridge's layers draw weights from the global generator when made
        bridge = TransformerBridge.boot_native(  # pyright: ignore[reportAttributeAccessIssue]
            _bridge_config(config, n_ctx), device=like.device, dtype=like.dtype
        )
    state = {}
    for name, weight in weights.items():
        path, leaf = name.rsplit(".", maxsplit=1)
        if config.mlp == "gated" and leaf in ("b_in", "b_out"):
            continue  # the bridge's gated MLP has none; ours are zero, or the model would have been refused
        if config.positions == "rotary" and leaf in TURNED:
            weight = rearrange(weight, "... (part pair) -> ... (pair part)", part=2)
        state[f"{path}.{NAMES[leaf]}"] = to_linear(leaf, weight.detach())
    bridge.load_state_dict(state)
    return bridge.eval()


def _refuse_unsupported(config: ModelConfig, weights: Mapping[str, Tensor]) -> None:
    options = {
        f"positions {config.positions!r}": config.positions not in POSITIONS,
        f"rotary scaling {config.rotary_scaling.kind!r}": config.rotary_scaling.kind == "yarn",
        f"rotary scaling by {config.rotary_scaling.factor:g}": config.rotary_scaling.factor < 1,
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


def _bridge_config(config: ModelConfig, n_ctx: int) -> Any:
    from transformer_lens.config import TransformerBridgeConfig

    bridge = TransformerBridgeConfig.from_dict(_values(config, n_ctx))
    bridge.rope_scaling = _scaling(config)  # the model reads it, but `from_dict` would drop it without a word
    return bridge


def _values(config: ModelConfig, n_ctx: int) -> dict[str, Any]:
    return {
        "n_layers": config.n_layers,
        "n_heads": config.n_heads,
        "n_key_value_heads": config.n_key_value_heads,
        "d_model": config.d_model,
        "d_head": config.d_head,
        "d_mlp": config.d_mlp,
        "d_vocab": config.d_vocab,
        "n_ctx": config.n_ctx or n_ctx,
        "positional_embedding_type": POSITIONS[config.positions],
        "rotary_base": config.rotary_base,
        "normalization_type": config.norm,
        "eps": config.norm_eps,
        "gated_mlp": config.mlp == "gated",
        "act_fn": config.activation,
        "init_weights": False,
    }


def _scaling(config: ModelConfig) -> dict[str, Any] | None:
    """Rotary scaling as the bridge reads it, which has Hugging Face's names."""
    scaling = config.rotary_scaling
    if scaling.kind == "none":
        return None
    values = {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind == "linear":
        return values
    limits = {"low_freq_factor": scaling.low, "high_freq_factor": scaling.high}
    return {**values, **limits, "original_max_position_embeddings": scaling.original}
