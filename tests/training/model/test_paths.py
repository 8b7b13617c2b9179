"""The fast path and the explicit path compute the same numbers, at every layer, and the same gradients."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.model.cases import CASES, tiny_model, tiny_tokens
from training.model import HookedTransformer
from training.model.parts import hooked

TOLERANCE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def record(values: dict[str, Tensor], name: str) -> Callable[..., None]:
    def hook(*arguments: Any, **named: Any) -> None:
        values[name] = arguments[-1] if isinstance(arguments[-1], Tensor) else arguments[0]

    return hook


@torch.no_grad()
def explicit_values(model: HookedTransformer, tokens: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and every hook point's value, with all points hooked."""
    values: dict[str, Tensor] = {}
    logits = model.run_with_hooks(tokens, fwd_hooks=[(name, record(values, name)) for name in model.hook_dict])
    return logits, values


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_fast_path_equals_explicit_path_after_every_component(changes: dict[str, Any]) -> None:
    model, tokens = tiny_model(**changes), tiny_tokens()
    fast: dict[str, Tensor] = {}
    handles = []
    for layer, block in enumerate(model.blocks):
        modules: dict[str, nn.Module] = {
            "hook_attn_out": block.attn,
            "hook_mlp_out": block.mlp,
            "hook_resid_post": block,
        }
        for point, module in modules.items():  # hooks on the components, not on their points: those stay fast
            handles.append(module.register_forward_hook(record(fast, f"blocks.{layer}.{point}")))
    with torch.no_grad():
        fast_logits = model(tokens)
    for handle in handles:
        handle.remove()
    logits, explicit = explicit_values(model, tokens)
    assert len(fast) == 3 * len(model.blocks)
    torch.testing.assert_close(fast_logits, logits, **TOLERANCE)
    for name, value in fast.items():
        torch.testing.assert_close(value, explicit[name], **TOLERANCE, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_every_hook_value_is_the_same_when_it_alone_is_hooked(changes: dict[str, Any]) -> None:
    model, tokens = tiny_model(**changes), tiny_tokens()
    _, explicit = explicit_values(model, tokens)
    assert set(explicit) == set(model.hook_dict)
    for name in model.hook_dict:  # everything else of the model takes the fast path
        alone: dict[str, Tensor] = {}
        with torch.no_grad():
            model.run_with_hooks(tokens, fwd_hooks=[(name, record(alone, name))])
        torch.testing.assert_close(
            alone[name], explicit[name], **TOLERANCE, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_gradients_of_both_paths_agree(changes: dict[str, Any]) -> None:
    model, tokens = tiny_model(**changes), tiny_tokens()
    task = model.config.task_heads - 1
    parameters = dict(model.named_parameters())
    fast = torch.autograd.grad(model(tokens, return_type="loss", task=task), list(parameters.values()))
    with model.hooks([(lambda _: True, lambda value, hook: value)]):
        assert all(hooked(*block.attn._points) for block in model.blocks)
        explicit = torch.autograd.grad(model(tokens, return_type="loss", task=task), list(parameters.values()))
    for name, one, other in zip(parameters, fast, explicit, strict=True):
        assert one.abs().max() > 0, f"{name} has no gradient"
        torch.testing.assert_close(one, other, **TOLERANCE, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_scored_logits_are_the_logits_at_the_scored_positions(changes: dict[str, Any]) -> None:
    model, tokens = tiny_model(**changes), tiny_tokens()
    predicting = torch.zeros(tokens.shape, dtype=torch.bool)
    predicting[0, 4:], predicting[1, 6], predicting[2, 3:6] = True, True, True
    task = model.config.task_heads - 1
    with torch.no_grad():
        wanted = model(tokens, task=task)[predicting]
        torch.testing.assert_close(model.scored_logits(tokens, predicting, task=task), wanted, **TOLERANCE)
        with model.hooks([("blocks.1.hook_resid_post", lambda value, hook: value)]):
            torch.testing.assert_close(model.scored_logits(tokens, predicting, task=task), wanted, **TOLERANCE)


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
@pytest.mark.parametrize("first", [0, 3, 6])
def test_attention_from_a_position_on_is_the_rest_of_the_whole(changes: dict[str, Any], first: int) -> None:
    model, tokens = tiny_model(**changes), tiny_tokens()
    block = model.blocks[0]
    with torch.no_grad():
        normed = block.ln1(model.start(tokens))
        torch.testing.assert_close(block.attn(normed, None, first), block.attn(normed)[:, first:], **TOLERANCE)


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_later_tokens_change_nothing_before_them(changes: dict[str, Any]) -> None:
    model, tokens = tiny_model(**changes), tiny_tokens()
    with torch.no_grad():
        torch.testing.assert_close(model(tokens)[:, :4], model(tokens[:, :4]), **TOLERANCE)
