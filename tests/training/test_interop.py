"""The model and TransformerLens' native bridge with the same weights: same logits, same activations, and back again."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

from tasks import InvalidValueError
from tests.training.model.cases import CASES, VOCABULARY, tiny_model, tiny_tokens
from training.interop import from_transformer_lens, to_transformer_lens
from training.model import HookedTransformer

INSTEAD = (
    "; use the model as it is: run_with_cache, run_with_hooks, ActivationCache and transformer_lens.patching work on it"
)

REFUSED = {
    "none, RMS, gated gelu": "positions 'none'",
    "none, LN, gated relu, all biases, tied": "positions 'none'",
    "rotary, log_n": "temperature 'log_n'",
    "none, log_n, two key-value heads": "positions 'none'",
    "rotary, three task heads": "task_heads 3",
    "none, LN, three task heads, all biases, log_n": "positions 'none'",
}
CONVERTED = {name: changes for name, changes in CASES.items() if name not in REFUSED} | {
    "rotary, gated, all biases but the MLP's": {"biases": "all"},
    "rotary, llama3 scaling": {
        "rotary_base": 50.0,
        "rotary_scaling": {"kind": "llama3", "factor": 3.0, "original": 16, "low": 0.5, "high": 4.0},
    },
}

ELSEWHERE = ("hook_attn_scores", "hook_rot_q", "hook_rot_k")
"""In TransformerLens 4.3 the first holds the pattern after the softmax; the others never fire on a native bridge."""


def convertible(changes: dict[str, Any]) -> HookedTransformer:
    """A model whose gated MLP has no biases, as the bridge's."""
    model = tiny_model(**changes)
    if model.config.mlp == "gated":
        for block in model.blocks:
            torch.nn.init.zeros_(block.mlp.b_in)
            torch.nn.init.zeros_(block.mlp.b_out)
    return model


def reordered(value: Tensor) -> Tensor:
    """Components (0, 1, ..., h - 1) of a head in the order that rotates adjacent pairs: 0, h/2, 1, h/2 + 1, ..."""
    half = value.shape[-1] // 2
    order = [place for i in range(half) for place in (i, half + i)]
    return value[..., order]


@pytest.mark.parametrize("changes", CONVERTED.values(), ids=CONVERTED)
@torch.no_grad()
def test_bridge_computes_the_same_logits_and_activations(changes: dict[str, Any]) -> None:
    model, tokens = convertible(changes), tiny_tokens()
    bridge = model.to_transformer_lens(n_ctx=16)
    logits, ours = model.run_with_cache(tokens)
    their_logits, theirs = bridge.run_with_cache(tokens)
    torch.testing.assert_close(their_logits, logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(their_logits, model(tokens), rtol=1e-5, atol=1e-5)
    common = [name for name in ours if not name.endswith(ELSEWHERE)]
    assert len(common) >= 2 * 14 + 3
    for name in common:
        rotary = model.config.positions == "rotary" and name.endswith(("hook_q", "hook_k"))
        torch.testing.assert_close(
            theirs[name],
            reordered(ours[name]) if rotary else ours[name],
            rtol=1e-5,
            atol=1e-5,
            msg=lambda text, name=name: f"{name}: {text}",
        )


@pytest.mark.parametrize("changes", CONVERTED.values(), ids=CONVERTED)
@torch.no_grad()
def test_back_from_the_bridge_is_the_same_model(changes: dict[str, Any]) -> None:
    model, tokens = convertible(changes), tiny_tokens()
    back = from_transformer_lens(to_transformer_lens(model, n_ctx=16), VOCABULARY)
    assert back.config == model.config.model_copy(update={"initializer_range": back.config.initializer_range})
    assert back.state_dict().keys() == model.state_dict().keys()
    for name, value in back.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert torch.equal(back(tokens), model(tokens))


def native(**changes: Any) -> TransformerBridge:
    """A bridge as TransformerLens initialises it."""
    values = {
        "n_layers": 2, "n_heads": 4, "d_model": 16, "d_head": 4, "d_mlp": 12, "d_vocab": 9, "n_ctx": 12,
        "normalization_type": "LN", "positional_embedding_type": "rotary", "act_fn": "gelu", "seed": 0,
    }  # fmt: skip
    config = TransformerBridgeConfig.from_dict(values | changes)
    config.rope_scaling = changes.get("rope_scaling")  # a dict loses it
    return TransformerBridge.boot_native(config).eval()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"positional_embedding_type": "standard", "normalization_type": "RMS", "gated_mlp": True},
        {"d_head": 6},
        {"rope_scaling": {"rope_type": "llama3", "factor": 2.0, "original_max_position_embeddings": 12}},
    ],
    ids=str,
)
@torch.no_grad()
def test_a_bridge_of_theirs_becomes_a_model(changes: dict[str, Any]) -> None:
    bridge, tokens = native(**changes), tiny_tokens()
    model = from_transformer_lens(bridge, VOCABULARY)
    torch.testing.assert_close(model(tokens), bridge(tokens), rtol=1e-5, atol=1e-5)
    assert model.config.biases == "none"


def test_copies_are_independent() -> None:
    model, tokens = tiny_model(), tiny_tokens()
    bridge = to_transformer_lens(model, n_ctx=16)
    before = bridge(tokens)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(bridge(tokens), before)


@pytest.mark.parametrize(("name", "option"), REFUSED.items())
def test_options_that_the_bridge_lacks_are_named(name: str, option: str) -> None:
    text = f"TransformerLens' native bridge has no {option}{INSTEAD}"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        to_transformer_lens(tiny_model(**CASES[name]))


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"biases": "all"}, "biases 'all' with mlp 'gated' (its gated MLP has none)"),
        ({"rotary_scaling": {"kind": "yarn", "factor": 2.0, "original": 8}}, "rotary scaling 'yarn'"),
        ({"rotary_scaling": {"kind": "linear", "factor": 0.5}}, "rotary scaling by 0.5"),
        ({"rotary_base": 100.5}, "rotary_base 100.5 (it keeps whole numbers only)"),
        ({"task_heads": 2, "temperature": "log_n"}, "temperature 'log_n'"),
    ],
)
def test_further_options_that_the_bridge_lacks(changes: dict[str, Any], option: str) -> None:
    with pytest.raises(InvalidValueError, match=re.escape(f"has no {option}{INSTEAD}")):
        to_transformer_lens(tiny_model(**changes))


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"normalization_type": "LNPre"}, "normalization_type 'LNPre'"),
        ({"normalization_type": None}, "normalization_type None"),
        ({"final_rms": True}, "final_rms with 'LN'"),
        ({"act_fn": "gelu_new"}, "act_fn 'gelu_new'"),
        ({"rotary_dim": 2}, "rotary_dim 2"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_scaling 'dynamic'"),
        ({"attn_only": True}, "attn_only"),
        ({"attention_dir": "bidirectional"}, "attention_dir 'bidirectional'"),
        ({"attn_scale": 3.0}, "attn_scale 3"),
        ({"output_logits_soft_cap": 30.0}, "output_logits_soft_cap"),
        ({"d_vocab_out": 4}, "d_vocab_out 4"),
    ],
    ids=str,
)
def test_options_that_the_model_lacks_are_named(changes: dict[str, Any], option: str) -> None:
    text = f"HookedTransformer has no {option}; use the bridge as it is"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        from_transformer_lens(native(**changes), VOCABULARY)


def test_processed_bridge_is_refused() -> None:
    bridge = native(positional_embedding_type="standard")
    bridge.compatibility_mode = True
    text = (
        "the bridge is in compatibility mode; only bridges as TransformerBridge.boot_native makes them, and "
        "unprocessed ones of LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, can be converted"
    )
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        from_transformer_lens(bridge, VOCABULARY)


def test_conversion_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    from_transformer_lens(to_transformer_lens(tiny_model(), n_ctx=16), VOCABULARY)
    assert torch.equal(torch.get_rng_state(), state)
