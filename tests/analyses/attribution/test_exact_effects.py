"""Edge attribution against exact path patching of the same examples: equal, or the closer the smaller the patch is."""

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from analyses import PathPatching
from analyses.attribution import EdgeAttribution, agreement
from analyses.attribution.edge_attribution import Method
from analyses.examples import Examples
from analyses.graph import edges
from analyses.patches import Direction
from tasks import Batch, Pair
from tests.analyses.attribution.models import DIRECTIONS, SETTINGS, TASK, hand_examples, model_of, of_edges
from tests.analyses.interventions.hand_cases import CLEAN, CORRUPTED, EDGES
from tests.analyses.models import hand_model, random_model, seeded
from training import HookedTransformer


def exact(
    model: HookedTransformer, examples: Examples, direction: Direction, *, metric: str = "logit_difference"
) -> Tensor:
    """The effect of patching each edge: [edge, batch]."""
    assert examples.counterfactual is not None
    pair = Pair(examples.clean, examples.counterfactual)
    analysis = PathPatching(direction=direction, metric=metric)
    return analysis.effects(model, pair, task_head=examples.task_head).effects


# Of `aa` less `ab` every edge's score is its effect. The model is linear but for the MLP's relu, and relu is linear
# where it stays at 0 or above: what it reads at the second position is 4 in `aa` and 2 in `ab`, and a single edge that
# is patched makes that 0 or 6 (embed->0.0.v and 0.0->0.mlp: 0 in noise, 6 in denoise; embed->0.1.v and 0.1->0.mlp: the
# reverse) or leaves it.
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_equal_for_every_edge_where_relu_is_linear(direction: Direction) -> None:
    model, examples = hand_model(), hand_examples("aa", "ab")
    scores = of_edges(EdgeAttribution(direction=direction).scores(model, examples), model)
    torch.testing.assert_close(scores, exact(model, examples, direction), rtol=1e-4, atol=1e-4)
    by_name = dict(zip(map(str, edges(model.config)), scores[:, 0].tolist(), strict=True))
    for case in EDGES:
        effect = CLEAN - case.noise if direction == "noise" else case.denoise - CORRUPTED
        assert by_name[f"{case.sender}->{case.receiver}"] == pytest.approx(effect, abs=1e-4), case.why


# Of `aa` less `bb` the MLP reads 4, 4 and 0, 0, and exchanging what 0.0 writes takes that 8 down or up:
#   noise     to -4, -4, where relu is 0.  embed->0.0.v: z10 = -4, so the logit is 0 + 4 + 0, the effect 8 - 4.
#                                          0.0->0.mlp: z10 = 4 still: 0 - 4 + 0, the effect 8 + 4.
#   denoise   to 8, 8, though relu's slope at `bb` itself is 0.  embed->0.0.v: 8 - 8 + 16; 0.0->0.mlp: 8 - 0 + 16.
# What 0.1 writes goes half as far the other way: in noise up to 8, on the same side; in denoise down to -4, where the
# slope is that at `bb`. So the scores of its edges are their effects, and so are those of all that pass relu by.
@pytest.mark.parametrize(
    ("direction", "effects", "scores"),
    [
        ("noise", {"embed->0.0.v": 4, "0.0->0.mlp": 12}, {"embed->0.0.v": 16, "0.0->0.mlp": 24}),
        ("denoise", {"embed->0.0.v": 16, "0.0->0.mlp": 24}, {"embed->0.0.v": -8, "0.0->0.mlp": 0}),
    ],
)
def test_unequal_only_for_edges_across_the_kink(direction: Any, effects: dict[str, float], scores: Any) -> None:
    model, examples = hand_model(), hand_examples("aa", "bb")
    found = of_edges(EdgeAttribution(direction=direction).scores(model, examples), model)[:, 0].tolist()
    wanted = exact(model, examples, direction)[:, 0].tolist()
    differ = {}
    for edge, score, effect in zip(map(str, edges(model.config)), found, wanted, strict=True):
        if score != pytest.approx(effect, abs=1e-3):
            differ[edge] = (pytest.approx(score, abs=1e-3), pytest.approx(effect, abs=1e-3))
    assert {name: (scores[name], effect) for name, effect in effects.items()} == differ


# ------------------------------------------------------------------------------------------------------- small patches
def one_letter_changed() -> Examples:
    """Copies of three letters, one of them b; the counterfactuals have d in its place."""
    texts = [f"[copy]{letters}={letters}[EOS]" for letters in ("abc", "cba", "bac", "aab")]
    sides = [[TASK.vocabulary.encode(text) for text in texts]]
    sides.append([TASK.vocabulary.encode(text.replace("b", "d")) for text in texts])
    scored = torch.tensor([[False] * 5 + [True] * 4] * len(texts))
    clean, counterfactual = (Batch(torch.stack(side), scored) for side in sides)
    return Examples(clean, counterfactual)


@torch.no_grad()
def move_apart(model: HookedTransformer, share: float) -> None:
    """Embeds d on the straight line from b to where it was."""
    b, d = TASK.vocabulary.encode("bd")
    model.embed.W_E[d] = model.embed.W_E[b].lerp(model.embed.W_E[d], share)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", SETTINGS)
def test_the_smaller_a_patch_the_closer_the_estimate(name: str, direction: Direction) -> None:
    # The estimate is the effect to first order in the patch, so its share of error falls as fast as the patch: tenfold.
    missed = []
    for share in (1e-3, 1e-4, 1e-5):
        model = model_of(name)
        move_apart(model, share)
        examples = replace(one_letter_changed(), task_head=model.config.task_heads - 1)
        effects = exact(model, examples, direction, metric="nll")
        scores = of_edges(EdgeAttribution(direction=direction, metric="nll").scores(model, examples), model)
        assert (effects.abs().amax(dim=1) > 1e-3 * share).double().mean() > 0.6
        missed.append(((scores - effects).abs().max() / effects.abs().max()).item())
    assert missed[2] < 1e-3
    assert missed[0] / missed[1] == pytest.approx(10, rel=0.1)
    assert missed[1] / missed[2] == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_integrated_gradients_agree_better_where_patches_are_large(direction: Direction) -> None:
    model = random_model(TASK.vocabulary, n_layers=2, n_key_value_heads=2, initializer_range=0.2)
    effects = PathPatching(direction=direction, metric="nll")(model, TASK, length=3, n=32, generator=seeded(5))
    found = {}
    for method in get_args(Method):
        analysis = EdgeAttribution(method=method, direction=direction, metric="nll")
        table = analysis(model, TASK, length=3, n=32, generator=seeded(5))
        row = agreement(table, effects, on=["task", "length", "direction", "metric", "sender", "receiver"]).iloc[0]
        assert row["n"] == len(edges(model.config))
        assert row["spearman"] > 0.65
        found[method] = row["pearson"]
    assert found["EAP"] > 0.5
    assert min(found["EAP-IG-inputs"], found["EAP-IG-activations"]) > max(0.85, found["EAP"])
