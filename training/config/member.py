"""A task of the training mixture."""

from typing import Self

from pydantic import Field

from tasks import Member, Vocabulary, get_task
from tasks.lengths import LengthDistribution
from tasks.targets import Targets
from training.config.base import Config, Positive


class MemberConfig(Config):
    """A task of the training mixture.

    Attributes:
        task: The task's name.
        parameters: The task's own parameters.
        max_length: The greatest training length.
        lengths: How training lengths are distributed up to there (`tasks.lengths`).
        targets: Which answers training examples have: their own, or, `shuffled`, those of other prompts
            (`tasks.targets`). What is measured is measured with true ones.
    """

    task: str
    parameters: dict[str, int | float | str] = Field(default_factory=dict)
    max_length: Positive
    lengths: LengthDistribution = "uniform"
    targets: Targets = "true"

    @classmethod
    def of(cls, member: Member) -> Self:
        """The configuration that `member` makes again."""
        task = member.task
        return cls.read(
            {
                "task": task.source,
                "parameters": task.parameters,
                "max_length": member.max_length,
                "lengths": member.lengths,
                "targets": member.targets,
            }
        )

    def member(self, vocabulary: Vocabulary) -> Member:
        """The task, bound to a vocabulary, with its lengths.

        Raises:
            UnknownNameError: No task has that name.
            InvalidValueError: The task refuses a parameter or the length, or the vocabulary lacks one of its tokens.
        """
        task = get_task(self.task, **self.parameters).bind(vocabulary)
        return Member(task, self.max_length, self.lengths, self.targets)
