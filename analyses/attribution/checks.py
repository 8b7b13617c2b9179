"""What every attribution refuses, before it begins and in the end."""

from collections.abc import Sequence

import torch
from torch import Tensor

from analyses.examples import Examples
from analyses.metrics import Metric
from tasks import InvalidValueError
from tasks.errors import unknown_name


def check_choice(kind: str, name: str, known: Sequence[str]) -> None:
    """Raises UnknownNameError unless the name is one of the known ones."""
    if name not in known:
        raise unknown_name(kind, name, known, listing=f"the {kind}s are {', '.join(known)}")


def check_gradient(metric: Metric, *, at_clean: bool) -> None:
    """Checks that a metric's gradient says something.

    Args:
        metric: The metric.
        at_clean: Whether the gradient is taken at the clean run alone.

    Raises:
        InvalidValueError: The metric counts right answers, or has its minimum at the clean run.
    """
    if not metric.smooth:
        raise InvalidValueError(
            f"metric {metric.name!r} counts right answers, so it has no gradient; use logit_difference, nll or kl, or "
            "a smooth metric of your own"
        )
    if metric.name == "kl" and at_clean:
        raise InvalidValueError(
            "metric 'kl' is the distance from the clean run, so its gradient there is 0, and so would be every score; "
            "use direction 'denoise', or EdgeAttribution with an EAP-IG method"
        )


def check_pairs(examples: Examples) -> None:
    """Raises InvalidValueError unless every example has a counterfactual, with another answer."""
    if examples.counterfactual is None:
        raise InvalidValueError(
            "attribution compares each example with its counterfactual, and there are none here; give "
            "Examples.of_pair(task.counterfactual(batch, generator=...)), or use DirectLogitAttribution with 'logit'"
        )
    examples.check_answers_differ()


def check_finite(values: Tensor) -> None:
    """Raises InvalidValueError unless all logits, or scores, are finite."""
    if not bool(torch.isfinite(values).all()):
        raise InvalidValueError(
            "the model's activations or logits are not finite, so nothing can be attributed; check its weights"
        )
