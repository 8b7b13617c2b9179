"""What the engine refuses of metrics, by its text."""

import pytest
import torch
from torch import Tensor

from analyses.examples import Examples, Running
from analyses.interventions import Edit, OtherRun, intervene
from analyses.interventions.places import Places
from analyses.metrics import Metric, get_metric
from tasks import Batch, InvalidValueError
from tests.analyses.models import hand_model


def examples(*, wrong: int = 1) -> Examples:
    """`aa` and `ba`, answered by [EOS], beside `ab` and `bb`: the logit of [EOS] is 8 and 3 in the clean run."""
    scored = torch.tensor([[False, False, True]] * 2)
    sides = torch.tensor([[[0, 0, 2], [1, 0, 2]], [[0, 1, wrong], [1, 1, wrong]]])
    return Examples(Batch(sides[0], scored), Batch(sides[1], scored))


def holed(logits: Tensor, batch: Batch) -> Tensor:
    """The logit of [EOS], but nan where it is 3."""
    return torch.where((logits[:, 2] - 3).abs() < 1e-3, torch.nan, logits[:, 2])


@pytest.mark.parametrize(
    ("metrics", "wrong", "text"),
    [
        ([], 1, "there is no metric to measure; name at least one"),
        (["nll", "nll"], 1, "two metrics are named 'nll'; name each its own way, with Metric.of(..., name=...)"),
        (["logit_difference"], 2,
         ("the counterfactual of example 0 has the same answer, so there is nothing to compare; use "
          "task.counterfactual, which changes the answer")),
        (["nll", Metric.of(holed, name="holed")], 1,
         ("metric 'holed' is not finite for example 1, so no mean over examples is defined; let it give a finite "
          "number for every example")),
    ],
    ids=["none", "twice", "same answers", "not finite"],
)  # fmt: skip
@pytest.mark.parametrize("budget", [1, 100])
def test_refused(metrics: list[str | Metric], wrong: int, text: str, budget: int) -> None:
    drawn = examples(wrong=wrong)
    assert drawn.counterfactual is not None
    edits, source = [(Edit("z", 1, Places.of([1]), 0),)], OtherRun(drawn.counterfactual.inputs)
    measured = [get_metric(metric) for metric in metrics]
    with pytest.raises(InvalidValueError) as caught:
        intervene(hand_model(), drawn, edits, source, metrics=measured, running=Running(token_budget=budget))
    assert str(caught.value) == text
