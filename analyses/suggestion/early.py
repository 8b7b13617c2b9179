"""A training run stopped early, and whether its end is to be found in the whole one."""

from training import TrainConfig
from training.keeping import checkpoint_steps
from training.optimizer import learning_rate


def early_config(config: TrainConfig, *, steps: int) -> TrainConfig:
    """The configuration of a run that does so many steps, and keeps its last checkpoint only.

    It is the beginning of the whole run (`is_beginning`) where that is possible: up to the step at which the learning
    rate begins to fall. Else its schedule runs from start to end in so many steps.
    """
    measure = config.measure.model_copy(update={"checkpoints": 1, "spacing": "even"})
    stopped = config.model_copy(update={"train": config.train.model_copy(update={"steps": steps}), "measure": measure})
    flat = stopped.model_copy(update={"train": stopped.train.model_copy(update={"schedule": "constant"})})
    return next((one for one in (stopped, flat) if is_beginning(one, config)), stopped)


def is_beginning(early: TrainConfig, whole: TrainConfig) -> bool:
    """Whether the end of one run is, bit for bit, a checkpoint of the other: with as many threads, on the same device.

    Initial weights depend on seed and shape, the examples of a step on the seed and its number, a running average on
    the number of its step; what is kept and measured changes nothing. So it is if the configurations agree and every
    step has the same learning rate in both.
    """
    free = ("steps", "schedule", "decay", "final")
    train = early.train.model_copy(update={key: getattr(whole.train, key) for key in free})
    alike = early.model_copy(update={"train": train, "measure": whole.measure}) == whole
    stored = early.measure.storage == whole.measure.storage
    return alike and stored and early.train.steps <= whole.train.steps and _same_rates(early, whole)


def is_kept(early: TrainConfig, whole: TrainConfig) -> bool:
    """Whether the end of one run is a checkpoint that the other keeps: it is its beginning, and the step is kept."""
    return early.train.steps in checkpoint_steps(whole.train.steps, whole.measure) and is_beginning(early, whole)


def _same_rates(early: TrainConfig, whole: TrainConfig) -> bool:
    return all(
        learning_rate(step, early.train) == learning_rate(step, whole.train) for step in range(early.train.steps)
    )
