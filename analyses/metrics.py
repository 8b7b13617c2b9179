"""The metrics that an effect can be measured in, and which way is better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tasks import Batch, InvalidValueError
from tasks.errors import unknown_name

UserMetric = Callable[[Float[Tensor, "scored vocab"], Batch], Float[Tensor, " batch"]]
"""A metric of the user's own: from the logits that predict `batch.targets`, in their order, to a number per example."""


@dataclass(frozen=True)
class Reading:
    """What a metric reads the logits against.

    Attributes:
        batch: The clean examples, whose answers are the right ones.
        counterfactual: The same examples changed, if there are any: their answers are the wrong ones.
        clean: The logits of the clean run, which `kl` compares with.
    """

    batch: Batch
    counterfactual: Batch | None = None
    clean: Float[Tensor, "scored vocab"] | None = None

    @cached_property
    def rows(self) -> Int[Tensor, " scored"]:
        """The example that each scored token belongs to."""
        return self.batch.scored.nonzero()[:, 0]

    @cached_property
    def targets(self) -> Int[Tensor, " scored"]:
        """The scored tokens."""
        return self.batch.targets

    @cached_property
    def counts(self) -> Int[Tensor, " batch"]:
        """How many scored tokens each example has."""
        return self.batch.scored.sum(dim=1)

    @cached_property
    def foils(self) -> Int[Tensor, " scored"]:
        """The counterfactual's tokens in the scored places."""
        return _present(self.counterfactual).tokens[self.batch.scored]

    @cached_property
    def differs(self) -> Bool[Tensor, " scored"]:
        """True where the counterfactual is scored too and has another token."""
        other = _present(self.counterfactual)
        return (other.scored & (other.tokens != self.batch.tokens))[self.batch.scored]

    def per_example(self, values: Float[Tensor, "*stack scored"]) -> Float[Tensor, "*stack batch"]:
        """The sum of each example's values, in float64."""
        sums = torch.zeros(*values.shape[:-1], len(self.batch), dtype=torch.float64, device=values.device)
        return sums.index_add(-1, self.rows, values.double())

    def mean(self, values: Float[Tensor, "*stack scored"]) -> Float[Tensor, "*stack batch"]:
        """The mean over each example's scored tokens."""
        return self.per_example(values) / self.counts


@dataclass(frozen=True)
class Metric:
    """One number per example.

    Attributes:
        name: Its name.
        unit: What one unit of it is.
        better: +1 if more is better, -1 if less is. An effect is `better * (clean - ablated)`, so a positive effect
            always means that what was removed had helped.
        measure: From logits [*stack, scored, vocab] and a reading to [*stack, batch].
        reads: What the reading must have besides the batch.
        smooth: Whether it has a gradient that says something (exact match has not).
    """

    name: str
    unit: str
    better: Literal[1, -1]
    measure: Callable[[Tensor, Reading], Tensor]
    reads: Literal["answers", "counterfactual", "clean"] = "answers"
    smooth: bool = True

    @classmethod
    def of(cls, function: UserMetric, *, name: str, better: Literal[1, -1] = 1, unit: str = "") -> "Metric":
        """A metric of the user's own.

        Args:
            function: From the logits [scored, vocab] that predict `batch.targets` to a number for each example.
            name: Its name in tables; results that are kept on disk are kept by it.
            better: +1 if more is better, -1 if less is.
            unit: What one unit of it is.
        """

        def measure(logits: Tensor, reading: Reading) -> Tensor:
            flat = logits.flatten(0, -3) if logits.ndim > 2 else logits[None]
            values = [_of_user(function(part, reading.batch), name, len(reading.batch)) for part in flat]
            return torch.stack(values).view(*logits.shape[:-2], len(reading.batch))

        return cls(name, unit, better, measure)

    def values(self, logits: Float[Tensor, "*stack scored vocab"], reading: Reading) -> Float[Tensor, "*stack batch"]:
        """The metric of every example, in float64.

        Raises:
            InvalidValueError: The metric compares with a counterfactual or with the clean run, and there is none.
        """
        self.check(counterfactual=reading.counterfactual is not None)
        return self.measure(logits, reading).double()

    def check(self, *, counterfactual: bool) -> None:
        """Raises InvalidValueError if the metric needs a counterfactual and there is none."""
        if self.reads == "counterfactual" and not counterfactual:
            raise InvalidValueError(
                f"metric {self.name!r} compares with a counterfactual, and there is none here; use nll or accuracy, "
                "or an analysis or ablation kind that has counterfactuals"
            )


def measured(
    metrics: Sequence[Metric], logits: Float[Tensor, "*stack scored vocab"], reading: Reading, *, first: int
) -> Float[Tensor, "metric *stack batch"]:
    """Every metric of every example of a part, in float64.

    Args:
        metrics: The metrics.
        logits: The logits that predict the scored tokens.
        reading: What they are read against.
        first: The number of the part's first example, by which errors name examples.

    Raises:
        InvalidValueError: A metric without what it reads, or one that is not finite.
    """
    values = torch.stack([metric.values(logits, reading) for metric in metrics])
    if not bool(torch.isfinite(values).all()):
        metric, *_, row = (~torch.isfinite(values)).nonzero()[0].tolist()
        raise InvalidValueError(
            f"metric {metrics[metric].name!r} is not finite for example {first + row}, so no mean over examples is "
            "defined; let it give a finite number for every example"
        )
    return values


def _accuracy(logits: Tensor, reading: Reading) -> Tensor:
    hits = logits.argmax(dim=-1) == reading.targets
    return reading.per_example(hits.to(torch.float32)) == reading.counts


def _token_accuracy(logits: Tensor, reading: Reading) -> Tensor:
    return reading.mean((logits.argmax(dim=-1) == reading.targets).to(torch.float32))


def _nll(logits: Tensor, reading: Reading) -> Tensor:
    logits = _precise(logits)
    return reading.mean(logits.logsumexp(dim=-1) - _of(logits, reading.targets))


def _logit_difference(logits: Tensor, reading: Reading) -> Tensor:
    values = (_of(logits, reading.targets) - _of(logits, reading.foils)) * reading.differs
    return reading.per_example(values) / reading.per_example(reading.differs.to(torch.float32))


def _kl(logits: Tensor, reading: Reading) -> Tensor:
    if reading.clean is None:
        raise InvalidValueError("metric 'kl' compares with the clean run's logits, and there are none; give them")
    clean, edited = (_precise(part).log_softmax(dim=-1) for part in (reading.clean, logits))
    return reading.mean((clean.exp() * (clean - edited)).sum(dim=-1))


def _precise(logits: Tensor) -> Tensor:
    """The logits in float32, or in float64 if they are."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _of(logits: Float[Tensor, "*stack scored vocab"], tokens: Int[Tensor, " scored"]) -> Float[Tensor, "*stack scored"]:
    """The logits of one token in each place."""
    return logits.gather(-1, tokens.expand(logits.shape[:-1])[..., None])[..., 0]


def _present(counterfactual: Batch | None) -> Batch:
    if counterfactual is None:
        raise InvalidValueError("this metric compares with a counterfactual, and there is none; use nll or accuracy")
    return counterfactual


def _of_user(values: Tensor, name: str, batch: int) -> Tensor:
    if tuple(values.shape) != (batch,):
        raise InvalidValueError(
            f"metric {name!r} must give one number for each of the {batch} examples. Got shape {tuple(values.shape)}"
        )
    return values


_METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "exact match, share of examples", 1, _accuracy, smooth=False),
        Metric("token_accuracy", "share of scored tokens", 1, _token_accuracy, smooth=False),
        Metric("nll", "nats per scored token", -1, _nll),
        Metric("logit_difference", "logits", 1, _logit_difference, reads="counterfactual"),
        Metric("kl", "nats per scored token, from the clean run", -1, _kl, reads="clean"),
    )
}


def list_metrics() -> list[str]:
    """The names of all metrics."""
    return list(_METRICS)


def get_metric(metric: str | Metric | UserMetric) -> Metric:
    """The metric of that name, a metric as it is, or a function of the user's as a metric of the function's name.

    Raises:
        UnknownNameError: No metric has that name.
    """
    if isinstance(metric, Metric):
        return metric
    if callable(metric):
        return Metric.of(metric, name=getattr(metric, "__name__", type(metric).__name__))
    if metric not in _METRICS:
        raise unknown_name("metric", metric, _METRICS, listing=f"the metrics are {', '.join(_METRICS)}")
    return _METRICS[metric]
