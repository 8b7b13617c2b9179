"""The metrics: what they read, and which way is better."""

import pytest
import torch

from analyses import get_metric, list_metrics
from tasks import UnknownNameError
from training.evaluate import Scores

SCORES = Scores(torch.tensor([True, False]), torch.tensor([1.0, 0.25]), torch.tensor([0.5, 2.0]))


@pytest.mark.parametrize(
    ("name", "values", "better"),
    [("accuracy", [1, 0], 1), ("token_accuracy", [1, 0.25], 1), ("nll", [0.5, 2], -1)],
)
def test_metric_reads_its_scores(name: str, values: list[float], better: int) -> None:
    metric = get_metric(name)
    assert metric.name == name
    assert metric.values(SCORES).tolist() == values
    assert metric.values(SCORES).dtype == torch.float64
    assert metric.better == better
    assert metric.unit


def test_all_are_listed() -> None:
    assert list_metrics() == ["accuracy", "token_accuracy", "nll"]
    assert [get_metric(name).name for name in list_metrics()] == list_metrics()


@pytest.mark.parametrize(("asked", "hint"), [("acc", "; did you mean 'accuracy'?"), ("xyz", ";")])
def test_unknown_metric_is_refused(asked: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        get_metric(asked)
    assert str(caught.value) == f"unknown metric {asked!r}{hint} the metrics are accuracy, token_accuracy, nll"
