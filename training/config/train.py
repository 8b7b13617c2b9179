"""All that determines a training run."""

from typing import Self

from pydantic import Field, model_validator

from training.config.base import Config, Natural
from training.config.measure import MeasureConfig
from training.config.member import MemberConfig
from training.config.model import ModelConfig
from training.config.optimizer import OptimizerConfig
from training.config.start import StartConfig


class TrainConfig(Config):
    """Everything that determines a training run; two runs with equal configurations are equal.

    Attributes:
        mixture: The tasks; each example's task is drawn uniformly.
        vocabulary: Every token of the model, at least those that the tasks need.
        model: The model's shape.
        train: How the weights are fitted.
        measure: What is kept and measured on the way.
        seed: Seeds the initial weights, the training stream and the test stream, each separately.
        data_seed: Seeds the training stream, where it is not `seed`: runs with one data seed and several seeds differ
            in their initial weights only, as those of Extrapolation by Association do.
        start: The checkpoint whose weights are the initial ones, and of which `model` is the shape; None for random
            ones. The seed then draws the rows of tokens that the checkpoint lacks, and the factors of `lora`.
    """

    mixture: tuple[MemberConfig, ...] = Field(min_length=1)
    vocabulary: tuple[str, ...]
    model: ModelConfig
    train: OptimizerConfig
    measure: MeasureConfig = MeasureConfig()
    seed: Natural = 0
    data_seed: Natural | None = None
    start: StartConfig | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.model.d_vocab != len(self.vocabulary):
            raise ValueError(
                f"d_vocab {self.model.d_vocab} differs from the vocabulary's {len(self.vocabulary)} tokens"
            )
        chosen = self.measure.checkpoints
        if isinstance(chosen, tuple) and max(chosen, default=0) > self.train.steps:
            raise ValueError(f"checkpoint {max(chosen)} lies beyond the last step, {self.train.steps}")
        if self.model.task_heads not in (1, len(self.mixture)):
            raise ValueError(
                f"task_heads {self.model.task_heads} with {len(self.mixture)} tasks; "
                "allowed are 1 and the number of tasks"
            )
        names = [member.task for member in self.mixture]
        if len(set(names)) < len(names):
            raise ValueError(f"the mixture names a task twice: {', '.join(names)}; each may stand once")
        return self

    @model_validator(mode="after")
    def _starts(self) -> Self:
        if self.start is None:
            return self
        if self.model.task_heads > 1:
            raise ValueError(
                f"task_heads {self.model.task_heads} with start: a checkpoint has one unembedding for all tasks; "
                "set model.task_heads to 1"
            )
        narrowest = self.model.narrowest(self.start.adapted)
        if self.start.adaptation == "lora" and self.start.rank > narrowest:
            raise ValueError(
                f"start.rank {self.start.rank} is more than the rank of the narrowest adapted map, {narrowest}; choose "
                "less, or start.adaptation 'full'"
            )
        return self
