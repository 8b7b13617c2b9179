"""TransformerLens' ActivationCache, logit lens and patching work on the model, and their numbers are right."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens import ActivationCache, patching

from tests.training.model.cases import CASES, tiny_model, tiny_tokens
from training.model import HookedTransformer

ONE_HEAD = {name: changes for name, changes in CASES.items() if "task_heads" not in changes}
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


def cached(**changes: Any) -> tuple[HookedTransformer, Tensor, Any]:
    """A model, its logits and its cache, untyped because the cache's methods return unions."""
    model = tiny_model(**changes)
    with torch.no_grad():
        logits, cache = model.run_with_cache(tiny_tokens())
    assert isinstance(cache, ActivationCache)
    return model, logits, cache


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
@torch.no_grad()
def test_components_sum_to_the_residual_stream(changes: dict[str, Any]) -> None:
    model, _, cache = cached(**changes)
    for layer in (1, 2):
        stream = cache["resid_post", layer - 1]
        torch.testing.assert_close(cache.decompose_resid(layer).sum(0), stream, **CLOSE)
        torch.testing.assert_close(cache.stack_head_results(layer, incl_remainder=True).sum(0), stream, **CLOSE)
        torch.testing.assert_close(cache.get_full_resid_decomposition(layer).sum(0), stream, **CLOSE)
        whole = cache.get_full_resid_decomposition(layer, expand_neurons=False)
        torch.testing.assert_close(whole.sum(0), stream, **CLOSE)
    middle = cache.get_full_resid_decomposition(1, mlp_input=True)
    torch.testing.assert_close(middle.sum(0), cache["resid_mid", 1], **CLOSE)
    heads, labels = cache.stack_head_results(return_labels=True)
    assert labels == [f"L{layer}H{head}" for layer in range(2) for head in range(4)]
    z = cache["blocks.1.attn.hook_z"]
    torch.testing.assert_close(heads[4 + 3], z[:, :, 3] @ model.blocks[1].attn.W_O[3], **CLOSE)


@torch.no_grad()
def test_accumulated_residual_is_the_stream_at_every_layer() -> None:
    model, _, cache = cached(norm="LN", biases="all")
    streams, labels = cache.accumulated_resid(incl_mid=True, return_labels=True)
    assert labels == ["0_pre", "0_mid", "1_pre", "1_mid", "final_post"]
    points = ["0.hook_resid_pre", "0.hook_resid_mid", "1.hook_resid_pre", "1.hook_resid_mid", "1.hook_resid_post"]
    for stream, point in zip(streams, points, strict=True):
        assert torch.equal(stream, cache[f"blocks.{point}"])
    normed = cache.accumulated_resid(apply_ln=True)
    torch.testing.assert_close(normed[-1], model.ln_final(cache["blocks.1.hook_resid_post"]))


@pytest.mark.parametrize("norm", ["LN", "RMS"])
@torch.no_grad()
def test_components_scaled_by_the_norm_sum_to_the_normalised_stream(norm: str) -> None:
    _, _, cache = cached(norm=norm, biases="all")
    for layer, mlp_input, point in ((1, False, "blocks.1.ln1"), (1, True, "blocks.1.ln2"), (2, False, "ln_final")):
        parts = cache.decompose_resid(layer, mlp_input=mlp_input)
        scaled = cache.apply_ln_to_stack(parts, layer, mlp_input=mlp_input)
        torch.testing.assert_close(scaled.sum(0), cache[f"{point}.hook_normalized"], **CLOSE)


@pytest.mark.parametrize("changes", ONE_HEAD.values(), ids=ONE_HEAD)
@torch.no_grad()
def test_logit_attributions_sum_to_the_logit(changes: dict[str, Any]) -> None:
    model, logits, cache = cached(**changes)
    parts = cache.decompose_resid()
    constant = model.b_U + (model.ln_final.b @ model.W_U if model.config.norm == "LN" else 0)
    for token in (3, "c"):
        attributed = cache.logit_attrs(parts, tokens=token).sum(0)
        torch.testing.assert_close(attributed + constant[3], logits[..., 3], **CLOSE)
    right, wrong = tiny_tokens(seed=2), tiny_tokens(seed=3)
    difference = cache.logit_attrs(parts, tokens=right, incorrect_tokens=wrong).sum(0)
    wanted = [(logits - constant).gather(2, tokens[..., None])[..., 0] for tokens in (right, wrong)]
    torch.testing.assert_close(difference, wanted[0] - wanted[1], **CLOSE)


def test_residual_directions_of_one_task() -> None:
    model = tiny_model(task_heads=3)
    wanted = model.W_U[2][:, 5] * model.ln_final.w
    torch.testing.assert_close(model.tokens_to_residual_directions(5, task=2), wanted)
    torch.testing.assert_close(model.tokens_to_residual_directions(torch.tensor([[1, 5]]), task=2)[0, 1], wanted)


@pytest.mark.parametrize("changes", ONE_HEAD.values(), ids=ONE_HEAD)
@torch.no_grad()
def test_logit_lens_reads_the_model_s_logits_at_the_end(changes: dict[str, Any]) -> None:
    model, logits, cache = cached(**changes)
    lens = cache.logit_lens(positions=None)
    torch.testing.assert_close(lens.values[-1], logits, **CLOSE)
    torch.testing.assert_close(lens.values[0], model.logits(cache["blocks.0.hook_resid_pre"]), **CLOSE)


@torch.no_grad()
def test_cache_without_batch_dimension() -> None:
    model, tokens = tiny_model(), tiny_tokens(batch=1)
    _, cache = model.run_with_cache(tokens, remove_batch_dim=True)
    torch.testing.assert_close(cache.decompose_resid().sum(0), cache["resid_post", 1], **CLOSE)
    assert cache["blocks.0.attn.hook_pattern"].shape == (4, 7, 7)
    _, plain = model.run_with_cache(tokens, return_cache_object=False, names_filter="hook_embed")
    assert isinstance(plain, dict)
    assert list(plain) == ["hook_embed"]


# Patching: every site of every sweep once more, in a loop of our own that replaces the value without their code.

METRIC_TOKEN = 4


def metric(logits: Tensor) -> Tensor:
    return logits[:, -1, METRIC_TOKEN].mean()


def patched(model: HookedTransformer, name: str, place: tuple[Any, ...], cache: ActivationCache) -> float:
    """The metric on the corrupted tokens, with the clean value at one place of one hook point."""

    def replace(value: Tensor, hook: object) -> Tensor:
        mixed = value.clone()
        mixed[place] = cache[name][place]
        return mixed

    return metric(model.run_with_hooks(tiny_tokens(seed=9), fwd_hooks=[(name, replace)])).item()


ALL = slice(None)
SWEEPS: dict[str, tuple[Callable[..., Tensor], str, tuple[int, ...], Callable[..., tuple[Any, ...]]]] = {
    "resid_pre": (patching.get_act_patch_resid_pre, "hook_resid_pre", (2, 7), lambda pos: (ALL, pos)),
    "mlp_out": (patching.get_act_patch_mlp_out, "hook_mlp_out", (2, 7), lambda pos: (ALL, pos)),
    "z": (patching.get_act_patch_attn_head_out_all_pos, "attn.hook_z", (2, 4), lambda head: (ALL, ALL, head)),
    "z by position": (
        patching.get_act_patch_attn_head_out_by_pos, "attn.hook_z", (2, 7, 4), lambda pos, head: (ALL, pos, head),
    ),
    "k of grouped queries": (
        patching.get_act_patch_attn_head_k_all_pos, "attn.hook_k", (2, 2), lambda head: (ALL, ALL, head),
    ),
    "pattern": (
        patching.get_act_patch_attn_head_pattern_all_pos, "attn.hook_pattern", (2, 4), lambda head: (ALL, head),
    ),
}  # fmt: skip


@pytest.mark.parametrize("sweep", SWEEPS.values(), ids=SWEEPS)
@torch.no_grad()
def test_patching_equals_a_loop_by_hand(sweep: tuple[Any, ...]) -> None:
    run, point, shape, place = sweep
    model, _, cache = cached(n_key_value_heads=2)
    table = run(model, tiny_tokens(seed=9), cache, metric)
    assert table.shape == shape
    assert table.std() > 1e-4
    for index in torch.cartesian_prod(*(torch.arange(size) for size in shape)).tolist():
        wanted = patched(model, f"blocks.{index[0]}.{point}", place(*index[1:]), cache)
        assert table[tuple(index)].item() == pytest.approx(wanted, abs=1e-5)


@torch.no_grad()
def test_patching_everything_at_once_gathers_the_single_sweeps() -> None:
    model, _, cache = cached()
    tokens = tiny_tokens(seed=9)
    heads: Any = patching.get_act_patch_attn_head_all_pos_every(model, tokens, cache, metric)
    assert heads.shape == (5, 2, 4)  # z, q, k, v, pattern
    torch.testing.assert_close(heads[0], patching.get_act_patch_attn_head_out_all_pos(model, tokens, cache, metric))
    blocks: Any = patching.get_act_patch_block_every(model, tokens, cache, metric)
    assert blocks.shape == (3, 2, 7)  # resid_pre, attn_out, mlp_out
    torch.testing.assert_close(blocks[0], patching.get_act_patch_resid_pre(model, tokens, cache, metric))
    by_position: Any = patching.get_act_patch_attn_head_by_pos_every(model, tokens[:, :3], cached_short(model), metric)
    assert by_position.shape == (5, 2, 3, 4)


def cached_short(model: HookedTransformer) -> ActivationCache:
    return model.run_with_cache(tiny_tokens()[:, :3])[1]
