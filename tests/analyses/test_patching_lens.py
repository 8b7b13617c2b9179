"""Activation patching gives the numbers of TransformerLens' helpers, which run the model once for every patch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformer_lens import patching

from analyses import ActivationPatching
from analyses.interventions import Site
from analyses.patches import Direction
from analyses.patching import By
from tasks import Pair, get_task
from tests.analyses.interventions.by_hooks import random_biases
from tests.analyses.models import random_model, seeded

TASK = get_task("shift", alphabet=4, case="lower")


@pytest.fixture(scope="module")
def pair() -> Pair:
    generator = seeded(3)
    return TASK.counterfactual(TASK.sample(4, length=3, generator=generator), generator=generator)


SETTINGS: dict[str, dict[str, object]] = {
    "rotary, grouped queries": {"n_key_value_heads": 2},
    "learned, LN, plain MLP, all biases": {
        "positions": "learned", "n_ctx": 12, "mlp": "plain", "biases": "all", "norm": "LN",
    },
    "none, log_n, tied": {"positions": "none", "temperature": "log_n", "unembedding": "tied"},
}  # fmt: skip

Sweep = tuple[Site, By, Callable[..., Tensor]]

SWEEPS: list[Sweep] = [
    ("resid_pre", "layer_position", patching.get_act_patch_resid_pre),
    ("resid_mid", "layer_position", patching.get_act_patch_resid_mid),
    ("attn_out", "layer_position", patching.get_act_patch_attn_out),
    ("mlp_out", "layer_position", patching.get_act_patch_mlp_out),
    ("z", "head", patching.get_act_patch_attn_head_out_all_pos),
    ("q", "head", patching.get_act_patch_attn_head_q_all_pos),
    ("k", "head", patching.get_act_patch_attn_head_k_all_pos),
    ("v", "head", patching.get_act_patch_attn_head_v_all_pos),
    ("pattern", "head", patching.get_act_patch_attn_head_pattern_all_pos),
    ("z", "head_position", patching.get_act_patch_attn_head_out_by_pos),
    ("q", "head_position", patching.get_act_patch_attn_head_q_by_pos),
    ("k", "head_position", patching.get_act_patch_attn_head_k_by_pos),
    ("v", "head_position", patching.get_act_patch_attn_head_v_by_pos),
    ("pattern", "head_position", patching.get_act_patch_attn_head_pattern_by_pos),
]  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize(("site", "by", "helper"), SWEEPS, ids=[f"{one[0]} by {one[1]}" for one in SWEEPS])
@pytest.mark.parametrize(
    ("name", "direction"), [*((name, "denoise") for name in SETTINGS), ("rotary, grouped queries", "noise")]
)
def test_equals_transformer_lens(
    pair: Pair, name: str, site: Site, by: By, helper: Callable[..., Tensor], direction: Direction
) -> None:
    model = random_biases(random_model(TASK.vocabulary, **{"n_layers": 2, **SETTINGS[name]}), seeded(2))
    source, base = pair.clean.inputs, pair.counterfactual.inputs
    if direction == "noise":
        source, base = base, source
    _, cache = model.run_with_cache(source)
    wanted = helper(model, base, cache, lambda logits: logit_difference(logits, pair))
    if by == "head_position" and site != "pattern":
        wanted = wanted.transpose(1, 2)  # [layer, pos, head] -> [layer, head, pos]
    found = ActivationPatching(site=site, by=by, direction=direction).effects(model, pair).patched.mean(dim=1)
    assert wanted.std() > 1e-3
    torch.testing.assert_close(found, wanted.flatten().double(), rtol=1e-5, atol=1e-5)


def logit_difference(logits: Tensor, pair: Pair) -> Tensor:
    """Clean minus counterfactual token where they differ, mean over an example's tokens, then over examples."""
    means: list[Tensor] = []
    for row, marks in enumerate(pair.differs):
        at = marks.nonzero()[:, 0]
        right, wrong = (logits[row, at - 1, side.tokens[row, at]] for side in (pair.clean, pair.counterfactual))
        means.append((right - wrong).mean())
    return torch.stack(means).mean()
