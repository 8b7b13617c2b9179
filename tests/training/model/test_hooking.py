"""Every hook point is live: edits change the output, identities do not, nothing stays behind, and no hook is silent."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tasks.errors import InvalidValueError, UnknownNameError
from tests.training.model.cases import CASES, tiny_model, tiny_tokens
from training.model import HookedTransformer

Run = Callable[[HookedTransformer, Tensor], object]


def scaled(value: Tensor, hook: object) -> Tensor:
    """Another direction as well as another length: the norms undo a mere factor."""
    return value * torch.linspace(1.5, 0.7, value.shape[-1])


def same(value: Tensor, hook: object) -> Tensor:
    return value


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_every_hook_point_is_live(changes: dict[str, Any]) -> None:
    model, tokens = tiny_model(**changes), tiny_tokens(pos=5)
    task = model.config.task_heads - 1
    with torch.no_grad():
        before = model(tokens, task=task)
        for name in model.hook_dict:
            edited = model.run_with_hooks(tokens, task=task, fwd_hooks=[(name, scaled)])
            assert (edited - before).abs().max() > 1e-3, f"editing {name} changes nothing"
            restored = model.run_with_hooks(tokens, task=task, fwd_hooks=[(name, same)])
            torch.testing.assert_close(restored, before, rtol=1e-5, atol=1e-5, msg=f"hooking {name} changes the logits")
        assert torch.equal(model(tokens, task=task), before)
    assert not model.is_hooked


def test_edits_in_place_reach_the_output() -> None:
    model, tokens = tiny_model(), tiny_tokens()

    def silence(z: Tensor, hook: object) -> None:
        z[:, :, 1] = 0

    with torch.no_grad():
        in_place = model.run_with_hooks(tokens, fwd_hooks=[("blocks.0.attn.hook_z", silence)])
        model.blocks[0].attn.W_O[1] = 0
        torch.testing.assert_close(in_place, model(tokens))


def test_removing_a_head_removes_its_z_times_w_o() -> None:
    model, tokens = tiny_model(biases="all"), tiny_tokens()
    _, cache = model.run_with_cache(tokens)
    z, out = cache["blocks.1.attn.hook_z"], cache["blocks.1.hook_attn_out"]

    def silence(z: Tensor, hook: object) -> Tensor:
        return z * (torch.arange(4) != 2)[:, None]

    written: list[Tensor] = []
    hooks: list[Any] = [
        ("blocks.1.attn.hook_z", silence),
        ("blocks.1.hook_attn_out", lambda value, hook: written.append(value)),
    ]
    with torch.no_grad():
        model.run_with_hooks(tokens, fwd_hooks=hooks)
    torch.testing.assert_close(out - written[0], z[:, :, 2] @ model.blocks[1].attn.W_O[2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("point", ["blocks.0.attn.hook_pattern", "blocks.1.ln2.hook_scale", "blocks.1.hook_resid_post"])
def test_an_exception_in_a_hook_leaves_nothing_behind(point: str) -> None:
    model, tokens = tiny_model(), tiny_tokens()
    before = model(tokens)

    def fail(value: Tensor, hook: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        model.run_with_hooks(tokens, fwd_hooks=[(lambda name: "mlp" in name, scaled), (point, fail)])
    assert not model.is_hooked
    assert torch.equal(model(tokens), before)


def test_an_exception_beside_the_model_is_not_hidden_by_the_silent_hook() -> None:
    model = tiny_model()
    with pytest.raises(ZeroDivisionError), model.hooks([("hook_embed", same)]):
        raise ZeroDivisionError
    assert not model.is_hooked


def test_contexts_nest() -> None:
    model, tokens = tiny_model(), tiny_tokens()
    with torch.no_grad():
        before = model(tokens)
        with model.hooks([("hook_embed", scaled)]):
            outer = model(tokens)
            model.run_with_hooks(tokens, fwd_hooks=[("blocks.0.hook_mlp_out", scaled)])
            _, cache = model.run_with_cache(tokens)
            assert torch.equal(model(tokens), outer)
        assert torch.equal(cache["hook_embed"], scaled(model.embed(tokens), None))
        assert torch.equal(model(tokens), before)


def test_backward_hooks_see_the_gradient() -> None:
    model, tokens = tiny_model(), tiny_tokens()
    with torch.enable_grad():
        _, cache = model.run_with_cache(tokens, return_type="loss", incl_bwd=True)
        kept: list[Tensor] = []
        with model.hooks([("blocks.0.attn.hook_z", lambda value, hook: kept.append(value))]):
            loss = model(tokens, return_type="loss")
        (gradient,) = torch.autograd.grad(loss, kept)
    torch.testing.assert_close(cache["blocks.0.attn.hook_z_grad"], gradient)
    assert not model.is_hooked


UNKNOWN = (
    "unknown hook point 'blocks.0.attn.hook_zz'; did you mean 'blocks.0.attn.hook_z'? "
    "'model.hook_dict' lists all of them"
)
NOWHERE = "unknown hook point 'zzzzzzzz'; 'model.hook_dict' lists all of them"
NO_MATCH = "the hook's filter matches no hook point, so nothing would be edited; 'model.hook_dict' lists them"


def nothing(name: str) -> bool:
    return False


@pytest.mark.parametrize(
    ("run", "kind", "text"),
    [
        (lambda m, t: m.run_with_hooks(t, fwd_hooks=[("blocks.0.attn.hook_zz", same)]), UnknownNameError, UNKNOWN),
        (lambda m, t: m.run_with_hooks(t, bwd_hooks=[("zzzzzzzz", same)]), UnknownNameError, NOWHERE),
        (lambda m, t: m.run_with_hooks(t, fwd_hooks=[("embed", same)]), UnknownNameError, "unknown hook point 'embed'"),
        (lambda m, t: m.run_with_hooks(t, fwd_hooks=[(nothing, same)]), InvalidValueError, NO_MATCH),
        (lambda m, t: m.run_with_cache(t, names_filter="blocks.0.attn.hook_zz"), UnknownNameError, UNKNOWN),
        (lambda m, t: m.run_with_cache(t, names_filter=["hook_embed", "zzzzzzzz"]), UnknownNameError, NOWHERE),
        (lambda m, t: m.run_with_cache(t, names_filter=nothing), InvalidValueError, NO_MATCH),
        (lambda m, t: m.add_hook("blocks.0.attn.hook_zz", same), UnknownNameError, UNKNOWN),
        (lambda m, t: m.add_hook(nothing, same), InvalidValueError, NO_MATCH),
    ],
)
def test_a_hook_that_cannot_fire_is_refused(run: Run, kind: type[Exception], text: str) -> None:
    model = tiny_model()
    with pytest.raises(kind, match=re.escape(text)):
        run(model, tiny_tokens())
    assert not model.is_hooked


def test_a_hook_of_another_configuration_is_unknown() -> None:
    with pytest.raises(UnknownNameError, match=re.escape("unknown hook point 'blocks.0.attn.hook_rot_q'")):
        tiny_model(positions="none").run_with_hooks(tiny_tokens(), fwd_hooks=[("blocks.0.attn.hook_rot_q", same)])


def test_a_hook_that_did_not_fire_is_reported() -> None:
    model, tokens = tiny_model(), tiny_tokens()
    text = "the hook on 'blocks.1.hook_mlp_out' never fired, so nothing was edited; run the model inside the context"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"), model.hooks([("blocks.1.hook_mlp_out", same)]):
        model.blocks[0](model.start(tokens))
    text = "the hook on the points of a filter never fired"
    with pytest.raises(InvalidValueError, match=text), model.hooks([(lambda name: "mlp" in name, same)]):
        pass
    assert not model.is_hooked


def test_added_hooks_stay_until_they_are_reset() -> None:
    model, tokens = tiny_model(), tiny_tokens()
    before = model(tokens)
    model.add_hook("hook_embed", scaled)
    assert model.is_hooked
    assert not torch.equal(model(tokens), before)
    model.reset_hooks()
    assert torch.equal(model(tokens), before)
