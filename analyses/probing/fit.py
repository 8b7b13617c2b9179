"""How probes are fitted, and what comes of it."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tasks import InvalidValueError


@dataclass(frozen=True)
class Fitting:
    """How probes are fitted.

    Attributes:
        l2: lambda of the penalty lambda / 2 * |W|^2, beside the sum of all examples' losses: 1 / C of scikit-learn.
        tolerance: A probe has converged when no entry of the gradient of (sum of losses + penalty) / examples, in nats,
            is larger than this.
        max_iterations: After so many iterations a probe is left as it is, and says that it has not converged.

    Raises:
        InvalidValueError: A number that is not positive.
    """

    l2: float = 1.0
    tolerance: float = 1e-4
    max_iterations: int = 500

    def __post_init__(self) -> None:
        for name, value in (("l2", self.l2), ("tolerance", self.tolerance), ("max_iterations", self.max_iterations)):
            if not 0 < value < float("inf"):
                raise InvalidValueError(f"{name} = {value} is not possible for a probe; allowed are numbers above 0")


AS_SCIKIT_LEARN = Fitting()
"""With scikit-learn's own penalty and tolerance."""


@dataclass(frozen=True)
class Fit:
    """Fitted probes. The logits of an example x are W x + b.

    Attributes:
        weights: W. The rows of a probe's classes sum to 0.
        biases: b; its other entries sum to 0, and -inf stands for a class that the probe's examples do not have.
        gradient: The greatest entry of the gradient, in nats per example, where the probe was left.
        converged: Whether that is within the tolerance.
        iterations: How many iterations it took.
    """

    weights: Float[Tensor, "probe class d"]
    biases: Float[Tensor, "probe class"]
    gradient: Float[Tensor, " probe"]
    converged: Bool[Tensor, " probe"]
    iterations: Int[Tensor, " probe"]

    def logits(self, features: Float[Tensor, "probe batch d"]) -> Float[Tensor, "probe batch class"]:
        """The logits of examples, for each probe its own."""
        return torch.baddbmm(self.biases[:, None], features, self.weights.mT)
