"""What attribution refuses, by its text."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from analyses import ActivationPatching, PathPatching
from analyses.attribution import AttributionPatching, DirectLogitAttribution, EdgeAttribution
from analyses.examples import Examples
from tasks import Batch, InvalidValueError, UnknownNameError
from tests.analyses.attribution.models import TASK, hand_examples
from tests.analyses.models import hand_batch, hand_model, random_model, seeded
from training import HookedTransformer

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
         "unknown direction 'noising'; did you mean 'noise'? the directions are denoise and noise"),
        (EdgeAttribution, {"metric": "lnll"}, f"unknown metric 'lnll'; did you mean 'nll'? {METRICS}"),
        (EdgeAttribution, {"steps": 0}, "steps = 0 points cannot be averaged; allowed is 1 or more"),
        (EdgeAttribution, {"metric": "accuracy"}, COUNTS),
        (EdgeAttribution, {"metric": "kl", "direction": "noise"}, AT_MINIMUM),
        (AttributionPatching, {"site": "pattern"},
         f"unknown site 'pattern'; did you mean 'attn_out'? {SITES}"),
        (AttributionPatching, {"by": "heads"},
         "unknown unit 'heads'; did you mean 'head'? the units are layer, layer_position, head, head_position"),
        (AttributionPatching, {"direction": "denoising"},
         "unknown direction 'denoising'; did you mean 'denoise'? the directions are denoise and noise"),
        (AttributionPatching, {"site": "mlp_out"},
         NO_HEADS),
        (AttributionPatching, {"metric": "accuracy"}, COUNTS),
        (AttributionPatching, {"metric": "kl", "direction": "noise"}, AT_MINIMUM),
        (DirectLogitAttribution, {"metric": "nll"},
         "unknown metric 'nll'; the metrics are logit_difference, logit"),
        (DirectLogitAttribution, {"by": "head"}, "unknown unit 'head'; the units are component, layer"),
    ],
)  # fmt: skip
def test_refused_when_made(unchecked: None, kind: Callable[..., object], settings: dict[str, Any], text: str) -> None:
    with pytest.raises((InvalidValueError, UnknownNameError)) as caught:
        kind(**settings)
    assert str(caught.value) == text


@pytest.mark.parametrize("method", ["EAP-IG-inputs", "EAP-IG-activations"])
def test_kl_is_allowed_where_its_gradient_is_not_zero(method: Any) -> None:
    scores = EdgeAttribution(metric="kl", method=method).scores(hand_model(), hand_examples("aa", "ab"))
    assert scores[0, 0].abs().max() > 1e-3


def same_answers() -> Examples:
    """`aa` and `ab` beside `ba` and `bb`, all answered by [EOS]."""
    clean = hand_batch()
    return Examples(clean, Batch(torch.tensor([[1, 0, 2], [1, 1, 2]]), clean.scored))


def hooked_model() -> HookedTransformer:
    model = hand_model()
    model.add_hook("blocks.0.attn.hook_z", lambda z, hook: z)
    return model


@torch.no_grad()
def poisoned(weight: Callable[[HookedTransformer], Tensor]) -> HookedTransformer:
    model = hand_model()
    weight(model).fill_(torch.nan)
    return model


NO_COUNTERFACTUALS = (
    "attribution compares each example with its counterfactual, and there are none here; give "
    "Examples.of_pair(task.counterfactual(batch, generator=...)), or use DirectLogitAttribution with 'logit'"
)
SAME_ANSWER = (
    "the counterfactual of example 0 has the same answer, so there is nothing to compare; use task.counterfactual, "
    "which changes the answer"
)
INFINITE = "the model's activations or logits are not finite, so nothing can be attributed; check its weights"


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda analysis: type(analysis).__name__)
@pytest.mark.parametrize(
    ("model", "examples", "text"),
    [
        (hooked_model(), hand_examples("aa", "ab"),
         "the model has hooks attached; remove them with model.reset_hooks() before an attribution"),
        (hand_model(), replace(hand_examples("aa", "ab"), task_head=1),
         "task head 1 does not exist: the model has 1, counted from 0"),
        (hand_model(), replace(hand_examples("aa", "ab"), task_head=-1),
         "task head -1 does not exist: the model has 1, counted from 0"),
        (hand_model(), Examples(hand_batch()), NO_COUNTERFACTUALS),
        (hand_model(), same_answers(),
         SAME_ANSWER),
        (poisoned(lambda model: model.W_U[:, 0]), hand_examples("aa", "ab"), INFINITE),
    ],
    ids=["hooked", "task head", "negative task head", "no counterfactuals", "same answers", "infinite logit"],
)  # fmt: skip
def test_refused(analysis: Any, model: HookedTransformer, examples: Examples, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        analysis.scores(model, examples)
    assert str(caught.value) == text


@pytest.mark.parametrize("analysis", ANALYSES[:2], ids=lambda analysis: type(analysis).__name__)
def test_a_counterfactual_run_that_is_not_finite_is_refused(analysis: Any) -> None:
    model = poisoned(lambda model: model.embed.W_E[1])  # token b, which the clean run does not read
    with pytest.raises(InvalidValueError) as caught:
        analysis.scores(model, hand_examples("aa", "ab"))
    assert str(caught.value) == INFINITE


@pytest.mark.parametrize("kind", [EdgeAttribution, AttributionPatching])
def test_a_metric_without_a_gradient_is_refused(kind: Any) -> None:
    def hits(logits: Tensor, batch: Batch) -> Tensor:
        return (logits.argmax(dim=-1) == batch.targets).double()

    with pytest.raises(InvalidValueError) as caught:
        kind(metric=hits).scores(hand_model(), hand_examples("aa", "ab"))
    assert str(caught.value) == (
        "metric 'hits' has no gradient with respect to the logits; compute it from them in torch, without argmax, "
        "comparisons or detach"
    )


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda analysis: type(analysis).__name__)
def test_no_examples_are_refused(analysis: Any) -> None:
    with pytest.raises(InvalidValueError) as caught:
        analysis(random_model(TASK.vocabulary), TASK, length=3, n=0, generator=seeded())
    assert str(caught.value) == "n = 0 examples cannot be measured; allowed is 1 or more"


@pytest.mark.parametrize("analysis", [EdgeAttribution(metric="nll"), AttributionPatching(metric="nll")])
def test_metrics_that_need_no_counterfactual_do_not_make_it_needless(analysis: Any) -> None:
    with pytest.raises(InvalidValueError) as caught:
        analysis.scores(hand_model(), Examples(hand_batch()))
    assert str(caught.value) == NO_COUNTERFACTUALS


@pytest.mark.parametrize("analysis", [EdgeAttribution(metric="nll"), AttributionPatching(metric="nll")])
def test_equal_answers_are_refused_whatever_is_measured(analysis: Any) -> None:
    with pytest.raises(InvalidValueError) as caught:
        analysis.scores(hand_model(), same_answers())
    assert str(caught.value) == SAME_ANSWER


def test_defaults_compare_with_patchings_defaults() -> None:
    assert {analysis().direction for analysis in (EdgeAttribution, AttributionPatching)} == {"denoise"}
    assert {analysis().direction for analysis in (PathPatching, ActivationPatching)} == {"denoise"}
