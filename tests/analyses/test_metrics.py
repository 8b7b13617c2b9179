"""The metrics: each formula by hand, what it reads, and which way is better."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from analyses import Metric, get_metric, list_metrics
from analyses.metrics import Reading
from tasks import Batch, InvalidValueError, UnknownNameError

LISTING = "the metrics are accuracy, token_accuracy, nll, logit_difference, kl"

# Two examples over the tokens 0, 1, 2; the first has two scored tokens, the second one. In the places of the scored
# tokens 2 0 and 2, the counterfactual holds 1 0 and 1: its second token is the same, so it counts for no difference.
SCORED = torch.tensor([[False, False, True, True], [False, False, True, False]])
BATCH = Batch(torch.tensor([[0, 1, 2, 0], [1, 0, 2, 2]]), SCORED)
COUNTERFACTUAL = Batch(torch.tensor([[0, 0, 1, 0], [1, 1, 1, 2]]), SCORED)

# Probabilities in the places of 2, 0 and 2; logits are their logarithms, up to a constant that must not show.
EDITED = torch.tensor([[1 / 4, 1 / 4, 1 / 2], [1 / 8, 5 / 8, 1 / 4], [1 / 8, 1 / 8, 3 / 4]]).log() + 7
CLEAN = torch.tensor([[1 / 2, 1 / 4, 1 / 4], [1 / 8, 5 / 8, 1 / 4], [1 / 4, 1 / 4, 1 / 2]]).log() - 3

READING = Reading(BATCH, COUNTERFACTUAL, CLEAN)

LN2 = math.log(2)

# accuracy          right, wrong: 0                            right: 1
# token_accuracy    1 of 2                                     1 of 1
# nll               (ln 2 + ln 8) / 2                          ln 4/3
# logit_difference  ln 1/2 - ln 1/4, at the first token only   ln 3/4 - ln 1/8
# kl                of the first token 1/2 ln 2 + 0 + 1/4 ln 1/2 = 1/4 ln 2, of the second 0, so 1/8 ln 2;
#                   of the third 1/4 ln 2 + 1/4 ln 2 + 1/2 ln 2/3 = 1/2 ln 4/3
BY_HAND: list[tuple[str, list[float], int]] = [
    ("accuracy", [0, 1], 1),
    ("token_accuracy", [0.5, 1], 1),
    ("nll", [2 * LN2, math.log(4 / 3)], -1),
    ("logit_difference", [LN2, math.log(6)], 1),
    ("kl", [LN2 / 8, math.log(4 / 3) / 2], -1),
]


@pytest.mark.parametrize(("name", "values", "better"), BY_HAND, ids=[case[0] for case in BY_HAND])
def test_metric_by_hand(name: str, values: list[float], better: int) -> None:
    metric = get_metric(name)
    assert metric.name == name
    found = metric.values(EDITED, READING)
    assert found.tolist() == pytest.approx(values, abs=1e-6)
    assert found.dtype == torch.float64
    assert metric.better == better
    assert metric.unit


@pytest.mark.parametrize("name", [case[0] for case in BY_HAND])
def test_stacked_runs_are_measured_one_by_one(name: str) -> None:
    stack = torch.stack([EDITED, CLEAN, EDITED + CLEAN, 2 * EDITED, -CLEAN, CLEAN * EDITED]).view(2, 3, 3, 3)
    found = get_metric(name).values(stack, READING)
    assert found.shape == (2, 3, 2)
    for outer in range(2):
        for inner in range(3):
            alone = get_metric(name).values(stack[outer, inner], READING)
            assert found[outer, inner].tolist() == pytest.approx(alone.tolist(), abs=1e-6)
    assert len({tuple(row) for row in found.flatten(0, 1).tolist()}) > 1


def test_kl_of_the_clean_run_is_zero() -> None:
    assert get_metric("kl").values(CLEAN, READING).abs().max() < 1e-7


def test_a_tokens_logits_count_for_its_own_example_only() -> None:
    other = EDITED.clone()
    other[:2] = CLEAN[:2]
    for name in list_metrics():
        assert get_metric(name).values(other, READING)[1] == get_metric(name).values(EDITED, READING)[1]


def test_foil_that_is_not_scored_in_the_counterfactual_counts_for_no_difference() -> None:
    # The counterfactual's answer ends one token earlier, so its last token is [EOS] filled up behind.
    shorter = Batch(torch.tensor([[0, 0, 1, 2], [1, 1, 1, 2]]), SCORED & torch.tensor([[True, True, True, False]] * 2))
    reading = Reading(BATCH, shorter)
    assert reading.differs.tolist() == [True, False, True]
    assert get_metric("logit_difference").values(EDITED, reading).tolist() == pytest.approx([LN2, math.log(6)])


def test_all_are_listed() -> None:
    assert list_metrics() == [name for name, _, _ in BY_HAND]
    assert [get_metric(name).name for name in list_metrics()] == list_metrics()
    assert [get_metric(name).smooth for name in list_metrics()] == [False, False, True, True, True]


# ------------------------------------------------------------------------------------------------- metrics of a user's
def first_logit(logits: Tensor, batch: Batch) -> Tensor:
    """The logit of each example's first scored token."""
    first = torch.cat((torch.zeros(1, dtype=torch.int64), batch.scored.sum(dim=1).cumsum(dim=0)[:-1]))
    return logits[first, batch.targets[first]]


def test_function_of_a_user_is_a_metric() -> None:
    metric = get_metric(first_logit)
    assert (metric.name, metric.better, metric.reads) == ("first_logit", 1, "answers")
    found = metric.values(EDITED, READING)
    assert found.tolist() == pytest.approx([math.log(1 / 2) + 7, math.log(3 / 4) + 7], abs=1e-5)
    assert found.dtype == torch.float64
    stacked = metric.values(torch.stack([EDITED, EDITED + 1]).view(2, 1, 3, 3), READING)
    assert stacked.shape == (2, 1, 2)
    assert (stacked[1] - stacked[0]).flatten().tolist() == pytest.approx([1, 1])


def test_metric_of_a_function_has_name_unit_and_direction() -> None:
    metric = Metric.of(first_logit, name="logit", better=-1, unit="logits")
    assert (metric.name, metric.better, metric.unit) == ("logit", -1, "logits")
    assert get_metric(metric) is metric


def test_object_that_is_called_is_named_by_its_class() -> None:
    class Margin:
        def __call__(self, logits: Tensor, batch: Batch) -> Tensor:
            return first_logit(logits, batch)

    assert get_metric(Margin()).name == "Margin"


@pytest.mark.parametrize(
    ("function", "shape"), [(lambda logits, _: logits[:, 0], "(3,)"), (lambda *_: EDITED, "(3, 3)")]
)
def test_function_that_gives_other_than_one_number_per_example_is_refused(
    unchecked: None, function: Any, shape: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        Metric.of(function, name="mine").values(EDITED, READING)
    assert str(caught.value) == f"metric 'mine' must give one number for each of the 2 examples. Got shape {shape}"


# --------------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(("asked", "hint"), [("acc", "; did you mean 'accuracy'?"), ("xyz", ";")])
def test_unknown_metric_is_refused(asked: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        get_metric(asked)
    assert str(caught.value) == f"unknown metric {asked!r}{hint} {LISTING}"


def test_difference_without_a_counterfactual_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        get_metric("logit_difference").values(EDITED, Reading(BATCH))
    assert str(caught.value) == (
        "metric 'logit_difference' compares with a counterfactual, and there is none here; use nll or accuracy, or an "
        "analysis or ablation kind that has counterfactuals"
    )
    with pytest.raises(InvalidValueError) as caught:
        _ = Reading(BATCH).foils
    assert str(caught.value) == ("this metric compares with a counterfactual, and there is none; use nll or accuracy")


def test_kl_without_a_clean_run_is_refused() -> None:
    with pytest.raises(InvalidValueError) as caught:
        get_metric("kl").values(EDITED, Reading(BATCH, COUNTERFACTUAL))
    assert str(caught.value) == "metric 'kl' compares with the clean run's logits, and there are none; give them"


@pytest.mark.parametrize("name", ["accuracy", "token_accuracy", "nll"])
def test_others_need_the_batch_alone(name: str) -> None:
    assert get_metric(name).values(EDITED, Reading(BATCH)).shape == (2,)
