"""How far to go along a direction, for many convex objectives at once."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MOST_TRIALS = 30
"""An interval that was halved so often holds no other number to try."""


@dataclass(frozen=True)
class Line:
    """The mean loss of each probe along its direction: logits are linear in the step, so no product is needed.

    Attributes:
        logits: The logits at step 0.
        change: What a step of 1 adds to them.
        right: What a step of 1 adds to the logit of an example's class, mean over examples.
        linear: The penalty's slope at step 0.
        quadratic: The penalty's curvature.
    """

    logits: Float[Tensor, "probe class batch"]
    change: Float[Tensor, "probe class batch"]
    right: Float[Tensor, "probe 1 1"]
    linear: Float[Tensor, "probe 1 1"]
    quadratic: Float[Tensor, "probe 1 1"]

    @classmethod
    def of(
        cls,
        logits: Float[Tensor, "probe class batch"],
        change: Float[Tensor, "probe class batch"],
        weights: Float[Tensor, "probe class d"],
        direction: Float[Tensor, "probe class d"],
        *,
        right: Float[Tensor, "probe class d"],
        penalty: Float[Tensor, "probe 1 1"],
    ) -> "Line":
        """The line from some weights in a direction; the last column of both, the biases, is not penalised."""
        one, step = weights[..., :-1], direction[..., :-1]
        linear, quadratic, gained = (_dot(*pair) for pair in ((one, step), (step, step), (right, direction)))
        return cls(logits, change, gained, penalty * linear, penalty * quadratic)

    def at(self, steps: Float[Tensor, "probe 1 1"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """At some steps: what the loss has grown by beside the mean of log Z, its slope, that mean, probabilities."""
        partition, probabilities = normalised(torch.addcmul(self.logits, steps, self.change))
        slope = (probabilities * self.change).sum(dim=(1, 2), keepdim=True) / self.logits.shape[2]
        beside = steps * (self.linear - self.right + steps / 2 * self.quadratic)
        return beside, slope - self.right + self.linear + steps * self.quadratic, partition, probabilities


def normalised(logits: Float[Tensor, "probe class batch"]) -> tuple[Tensor, Tensor]:
    """The mean over examples of log Z, Z = sum of exp(logits), in float64, and the probabilities, in their place."""
    greatest = logits.amax(dim=1, keepdim=True)
    weights = (logits - greatest).exp_()
    total = weights.sum(dim=1, keepdim=True)
    partition = (greatest + total.log()).mean(dim=2, keepdim=True, dtype=torch.float64)
    return partition, weights.div_(total)


def search(
    line: Line, moving: Bool[Tensor, " probe"], *, loss: Float[Tensor, "probe 1 1"], slope: Float[Tensor, "probe 1 1"]
) -> tuple[Tensor, Tensor, Tensor]:
    """A step for each probe that has to move (0 for the others), and the mean of log Z and the probabilities there.

    A step is taken when the slope there is at most .9 of the first one either way, and the loss has not grown but for
    rounding: the approximate Wolfe conditions, which rounding of the loss does not disturb near the minimum (Hager and
    Zhang 2005, section 4). The objective is convex, so what is sought lies between a step where the slope is negative
    and one where it is positive.

    Args:
        line: Where to search.
        moving: Which probes have to move.
        loss: The mean of log Z at step 0.
        slope: The slope there.
    """
    nothing, pending = torch.zeros_like(line.right), moving[:, None, None]
    low, low_slope, high, high_slope = nothing, slope, nothing + torch.inf, nothing
    steps = torch.where(pending, 1.0, nothing)
    for _ in range(MOST_TRIALS):
        beside, found, partition, probabilities = line.at(steps)
        grown = partition - loss + beside > 1e-6 * loss.abs()
        beyond = (found > -0.9 * slope) | grown
        before = (found < 0.9 * slope) & ~grown
        pending = pending & (beyond | before)
        if not bool(pending.any()):
            return steps, partition, probabilities
        low, low_slope = torch.where(before, steps, low), torch.where(before, found, low_slope)
        high, high_slope = torch.where(beyond, steps, high), torch.where(beyond, found, high_slope)
        # Where the slope would be 0 if it were linear, but not at the ends of the interval.
        share = (low_slope / (low_slope - high_slope)).nan_to_num(nan=0.5).clamp(0.1, 0.9)
        between = low + share * (high - low)
        steps = torch.where(pending, torch.where(high.isinf(), 4 * steps, between), steps)
    steps = torch.where(pending, low, steps)  # rounding hides the way down: as far as it was seen
    return steps, *line.at(steps)[2:]


def _dot(one: Tensor, other: Tensor) -> Float[Tensor, "probe 1 1"]:
    return (one * other).sum(dim=(1, 2), keepdim=True)
