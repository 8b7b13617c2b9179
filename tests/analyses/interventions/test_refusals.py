"""What the engine refuses before it measures anything, and what it must not mistake for the clean run."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from analyses import ablate
from analyses.examples import Examples, Running
from analyses.heads import Head
from analyses.interventions import Edit, Fixed, OtherRun, intervene
from analyses.interventions.places import Places
from analyses.interventions.sources import zeros
from analyses.metrics import Metric, get_metric
from tasks import Batch, InvalidValueError
from tests.analyses.interventions.test_hand_cases import hand_examples, nll
from tests.analyses.models import hand_model

EDIT = (Edit("z", 1, Places.of([0, 1]), 0),)


def fixed(change: Callable[[torch.Tensor], torch.Tensor]) -> Fixed:
    return Fixed({"z": change(zeros(hand_model(), width=2).values["z"])})


def other_run(examples: Examples) -> OtherRun:
    assert examples.counterfactual is not None
    return OtherRun(examples.counterfactual.inputs)


def test_kl_is_from_the_clean_run_whatever_is_edited() -> None:
    # The counterfactual `ab` with head 1.0 at zero: logits 1, 0, 8 (test_ablate.py), as the clean run of `aa` has them.
    # Unedited, `ab` has 1, 0, 5: kl = sum of p (ln p - ln q), p = softmax(1, 0, 8), q = softmax(1, 0, 5).
    outcome = intervene(
        hand_model(), hand_examples(), [EDIT], zeros(hand_model(), width=2), metrics=[get_metric("kl")],
        base="counterfactual",
    )  # fmt: skip
    p, q = (torch.tensor([1.0, 0.0, x], dtype=torch.float64).softmax(0) for x in (8, 5))
    assert outcome.unedited["kl"].tolist() == [pytest.approx((p * (p / q).log()).sum().item(), abs=1e-6)] * 3
    assert outcome.edited["kl"].abs().max() < 1e-6


def test_a_third_run_as_source_is_not_the_clean_one() -> None:
    # Base `ab`, patched from a third run, `bb`: its tokens are all b, so every z is 0 and the logit of [EOS] is 0.
    examples, third = hand_examples(), torch.tensor([[1, 1]] * 3)
    outcome = intervene(
        hand_model(), examples, [EDIT], OtherRun(third), metrics=[get_metric("kl"), get_metric("nll")],
        base="counterfactual",
    )  # fmt: skip
    assert outcome.other["nll"].tolist() == [nll(0)] * 3
    p, q = (torch.tensor([1.0, 0.0, x], dtype=torch.float64).softmax(0) for x in (8, 0))
    assert outcome.other["kl"].tolist() == [pytest.approx((p * (p / q).log()).sum().item(), abs=1e-6)] * 3


def broken(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    return torch.full((len(batch),), torch.nan)


SHAPE = "the values of site 'z' must be torch.float32 on cpu of shape (2, 1, 2, 2, 1). Got "


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (fixed(lambda z: z[:1]), SHAPE + "torch.float32 on cpu of shape (1, 1, 2, 2, 1)"),
        (fixed(lambda z: z[:, :, :1]), SHAPE + "torch.float32 on cpu of shape (2, 1, 1, 2, 1)"),
        (fixed(lambda z: z.double()), SHAPE + "torch.float64 on cpu of shape (2, 1, 2, 2, 1)"),
        (fixed(lambda z: z / 0), "the values of site 'z' are not finite; check where they come from"),
        (Fixed({"mlp_out": torch.zeros(2, 1, 2, 4)}), "site 'z' has no fixed value; sites that have one are mlp_out"),
        (OtherRun(torch.zeros(3, 3, dtype=torch.int64)), "the source's tokens must have shape (3, 2). Got (3, 3)"),
    ],
    ids=["layers", "positions", "type", "not finite", "site", "tokens"],
)
def test_sources_that_do_not_fit(source: Fixed | OtherRun, text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        intervene(hand_model(), hand_examples(), [EDIT], source, metrics=[get_metric("nll")])
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ([get_metric("nll"), Metric.of(broken, name="nll")], r"two metrics are named 'nll'; .*"),
        ([], r"there is no metric.*"),
        ([get_metric(broken)], r"metric 'broken' is not finite for example 0, so .*"),
        ([get_metric("logit_difference")], r"the counterfactual of example 0 has the same answer, so .*"),
    ],
    ids=["twice", "none", "not finite", "same answer"],
)
def test_metrics_that_cannot_be_measured(metrics: list[Metric], text: str) -> None:
    with pytest.raises(InvalidValueError, match=text):
        intervene(hand_model(), hand_examples(), [EDIT], other_run(hand_examples()), metrics=metrics)


def test_places_must_rise() -> None:
    for positions in ((3, -1, 2), (2, 2)):
        with pytest.raises(InvalidValueError, match=r"positions \(.*\) do not rise; use Places.of"):
            Places(positions)
    assert Places.of([3, 1, 3]).positions == (1, 3)


@pytest.mark.parametrize("change", ["hooks", "task head"])
def test_no_pass_is_made_before_the_model_is_checked(change: str) -> None:
    # Means need a pass of their own; a hook that fired would have been a silent part of it.
    model, fired = hand_model(), []
    examples: Any = hand_examples()
    if change == "hooks":
        model.add_hook("blocks.0.attn.hook_z", lambda z, hook: fired.append(1))
    else:
        examples = Examples(examples.clean, examples.counterfactual, task_head=3)
    with pytest.raises(InvalidValueError):
        ablate(model, examples, [(Head(0, 0),)], kind="mean", running=Running())
    assert not fired


def test_an_example_is_not_its_own_counterfactual() -> None:
    examples = hand_examples()
    with pytest.raises(InvalidValueError) as caught:
        Examples(examples.clean, examples.clean)
    assert str(caught.value) == "the counterfactual of example 0 is the example itself; use task.counterfactual"
