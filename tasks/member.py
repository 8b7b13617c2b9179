"""A task's place in a mixture: the lengths that it is trained at, and the answers."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from tasks.lengths import LengthDistribution, check_distribution, lengths_at
from tasks.targets import Targets, check_targets
from tasks.task import Task


@dataclass(frozen=True)
class Member:
    """A task, the greatest length that it is trained at, and how its training lengths are distributed up to there.

    Attributes:
        task: The task.
        max_length: The greatest training length.
        lengths: How training lengths are distributed (`tasks.lengths`).
        targets: Which answers its training examples have (`tasks.targets`); those of tests are true.

    Raises:
        InvalidValueError: A length that the task cannot make, or too small for the distribution.
        UnknownNameError: No distribution or no targets have that name.
    """

    task: Task
    max_length: int
    lengths: LengthDistribution = "uniform"
    targets: Targets = "true"

    def __post_init__(self) -> None:
        self.task.check_length(self.max_length)
        check_distribution(self.lengths, longest=self.max_length, shortest=self.task.min_length)
        check_targets(self.targets)

    def lengths_at(self, quantiles: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
        """The training lengths at given quantiles, numbers in [0, 1): uniform ones make lengths of the distribution."""
        return lengths_at(
            quantiles,
            self.lengths,
            shortest=self.task.min_length,
            longest=self.max_length,
            operands=self.task.operands,
        )
