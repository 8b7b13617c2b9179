"""What attribution refuses, by its text."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from analyses.attribution import AttributionPatching, DirectLogitAttribution, EdgeAttribution
from tasks import Batch, InvalidValueError, Pair, UnknownNameError, get_task
from tests.analyses.models import hand_batch, hand_model, random_model, seeded
from tests.analyses.test_attribution_edges import pair_of
from training import HookedTransformer

TASK = get_task("copy", alphabet=4, case="lower")

ANALYSES = (EdgeAttribution(), AttributionPatching(), DirectLogitAttribution())

COUNTS = (
    "metric 'accuracy' counts right answers, so it has no gradient; use logit_difference, nll or kl, or a smooth "
    "metric of your own"
)
AT_MINIMUM = (
    "metric 'kl' is the distance from the clean run, so its gradient there is 0, and so would be every score; use "
    "direction 'denoise', or EdgeAttribution with an EAP-IG method"
)
NO_HEADS = (
    "site 'mlp_out' has no heads of its own, so it cannot be divided by 'head'; use by 'layer' or 'layer_position', or "
    "one of the sites q, k, v, z"
)
SITES = "the sites are q, k, v, z, resid_pre, attn_out, resid_mid, mlp_out, resid_post"
METRICS = "the metrics are accuracy, token_accuracy, nll, logit_difference, kl"


@pytest.mark.parametrize(
    ("kind", "settings", "text"),
    [
        (EdgeAttribution, {"method": "EAP-IG"},
         "unknown method 'EAP-IG'; did you mean 'EAP'? the methods are EAP, EAP-IG-inputs, EAP-IG-activations"),
        (EdgeAttribution, {"direction": "noising"},
         "unknown direction 'noising'; did you mean 'noise'? the directions are noise, denoise"),
        (EdgeAttribution, {"metric": "lnll"}, f"unknown metric 'lnll'; did you mean 'nll'? {METRICS}"),
        (EdgeAttribution, {"steps": 0}, "steps = 0 points cannot be averaged; allowed is 1 or more"),
        (EdgeAttribution, {"metric": "accuracy"}, COUNTS),
        (EdgeAttribution, {"metric": "kl"}, AT_MINIMUM),
        (AttributionPatching, {"site": "pattern"},
         f"unknown site 'pattern'; did you mean 'attn_out'? {SITES}"),
        (AttributionPatching, {"by": "heads"},
         "unknown division 'heads'; did you mean 'head'? the divisions are head, layer, head_position, layer_position"),
        (AttributionPatching, {"direction": "denoising"},
         "unknown direction 'denoising'; did you mean 'denoise'? the directions are noise, denoise"),
        (AttributionPatching, {"site": "mlp_out"},
         NO_HEADS),
        (AttributionPatching, {"metric": "accuracy"}, COUNTS),
        (AttributionPatching, {"metric": "kl"}, AT_MINIMUM),
        (DirectLogitAttribution, {"metric": "nll"},
         "unknown metric 'nll'; the metrics are logit_difference, logit"),
        (DirectLogitAttribution, {"by": "head"}, "unknown division 'head'; the divisions are component, layer"),
    ],
)  # fmt: skip
def test_refused_when_made(unchecked: None, kind: Callable[..., object], settings: dict[str, Any], text: str) -> None:
    with pytest.raises((InvalidValueError, UnknownNameError)) as caught:
        kind(**settings)
    assert str(caught.value) == text


@pytest.mark.parametrize("method", ["EAP-IG-inputs", "EAP-IG-activations"])
def test_kl_is_allowed_where_its_gradient_is_not_zero(method: Any) -> None:
    scores = EdgeAttribution(metric="kl", method=method).scores(hand_model(), pair_of("aa", "ab"))
    assert scores[0, 0].abs().max() > 1e-3


def hooked_model() -> HookedTransformer:
    model = hand_model()
    model.add_hook("blocks.0.attn.hook_z", lambda z, hook: z)
    return model


@torch.no_grad()
def poisoned(weight: Callable[[HookedTransformer], Tensor]) -> HookedTransformer:
    model = hand_model()
    weight(model).fill_(torch.nan)
    return model


def two_lengths() -> Pair:
    scored = torch.tensor([[False, True, False], [False, False, True]])
    clean, other = torch.tensor([[0, 2, 2], [0, 1, 2]]), torch.tensor([[0, 1, 2], [0, 1, 1]])
    return Pair(Batch(clean, scored), Batch(other, scored))


NOTHING = Pair(*[Batch(torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, 3, dtype=torch.bool))] * 2)
INFINITE = "the model's activations or logits are not finite, so nothing can be attributed; check its weights"


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda analysis: type(analysis).__name__)
@pytest.mark.parametrize(
    ("model", "pair", "settings", "text"),
    [
        (hooked_model(), pair_of("aa", "ab"), {},
         "the model has hooks attached; remove them with model.reset_hooks() before an attribution"),
        (hand_model(), NOTHING, {}, "a batch of 0 examples cannot be attributed; use n >= 1"),
        (hand_model(), two_lengths(), {},
         "the prompts have different lengths, so their positions do not align; use one length"),
        (hand_model(), pair_of("aa", "ab"), {"task_head": 1},
         "task_head 1 does not exist: the model has task heads 0 to 0"),
        (hand_model(), pair_of("aa", "ab"), {"token_budget": 0}, "token_budget = 0 tokens; allowed is 1 or more"),
        (poisoned(lambda model: model.W_U[:, 0]), pair_of("aa", "ab"), {}, INFINITE),
    ],
    ids=["hooked", "none", "two lengths", "task head", "budget", "infinite logit"],
)  # fmt: skip
def test_refused(analysis: Any, model: HookedTransformer, pair: Pair, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        analysis.scores(model, pair, **settings)
    assert str(caught.value) == text


@pytest.mark.parametrize("analysis", ANALYSES[:2], ids=lambda analysis: type(analysis).__name__)
def test_a_counterfactual_run_that_is_not_finite_is_refused(analysis: Any) -> None:
    model = poisoned(lambda model: model.embed.W_E[1])  # token b, which the clean run does not read
    with pytest.raises(InvalidValueError) as caught:
        analysis.scores(model, pair_of("aa", "ab"))
    assert str(caught.value) == INFINITE


@pytest.mark.parametrize("kind", [EdgeAttribution, AttributionPatching])
def test_a_metric_without_a_gradient_is_refused(kind: Any) -> None:
    def hits(logits: Tensor, batch: Batch) -> Tensor:
        return (logits.argmax(dim=-1) == batch.targets).double()

    with pytest.raises(InvalidValueError) as caught:
        kind(metric=hits).scores(hand_model(), pair_of("aa", "ab"))
    assert str(caught.value) == (
        "metric 'hits' has no gradient with respect to the logits; compute it from them in torch, without argmax, "
        "comparisons or detach"
    )


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda analysis: type(analysis).__name__)
def test_no_examples_are_refused(analysis: Any) -> None:
    with pytest.raises(InvalidValueError) as caught:
        analysis(random_model(TASK.vocabulary), TASK, length=3, n=0, generator=seeded())
    assert str(caught.value) == "n = 0 examples cannot be attributed; allowed is 1 or more"


def test_a_logit_difference_without_counterfactuals_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        DirectLogitAttribution().scores(hand_model(), hand_batch())
    assert str(caught.value) == (
        "metric 'logit_difference' compares with a counterfactual, and there is none here; give the pair that "
        "task.counterfactual(batch, generator=...) makes, or use metric 'logit'"
    )
