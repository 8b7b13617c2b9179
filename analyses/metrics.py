"""The metrics that an effect can be measured in, and which way is better."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from tasks.errors import unknown_name
from training.evaluate import Scores


@dataclass(frozen=True)
class Metric:
    """One number per example.

    Attributes:
        name: Its name, also the field of `Scores` it reads (`accuracy` reads `correct`).
        unit: What one unit of it is.
        better: +1 if more is better, -1 if less is. An effect is `better * (clean - ablated)`, so a positive effect
            always means that what was removed had helped.
    """

    name: str
    unit: str
    better: Literal[1, -1]
    field: str

    def values(self, scores: Scores) -> Float[Tensor, " batch"]:
        """The metric of every example."""
        return getattr(scores, self.field).double()


_METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "exact match, share of examples", 1, "correct"),
        Metric("token_accuracy", "share of scored tokens", 1, "token_accuracy"),
        Metric("nll", "nats per scored token", -1, "nll"),
    )
}


def list_metrics() -> list[str]:
    """The names of all metrics."""
    return list(_METRICS)


def get_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        UnknownNameError: No metric has that name.
    """
    if name not in _METRICS:
        raise unknown_name("metric", name, _METRICS, listing=f"the metrics are {', '.join(_METRICS)}")
    return _METRICS[name]
