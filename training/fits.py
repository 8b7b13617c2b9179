"""Whether examples fit a learned position table."""

from collections.abc import Iterable

from tasks import InvalidValueError, Task
from training.config import ModelConfig
from training.randomness import named_generator

_EXAMPLES = 64
"""Drawn to see how long examples of a length are, which in some tasks varies (a walk through a maze)."""


def refuse_too_long(model: ModelConfig, task: Task, lengths: Iterable[int]) -> None:
    """Refuses lengths whose examples are longer than the model's learned position table, before anything is trained.

    Raises:
        InvalidValueError: They are; other kinds of positions take any length.
    """
    if model.positions != "learned":
        return
    length = max(lengths)
    batch = task.sample(_EXAMPLES, length=length, generator=named_generator(0, "fits"), stream="test")
    needed = batch.inputs.shape[1]
    if needed > model.n_ctx:
        raise InvalidValueError(
            f"{task.name} at length {length} has {needed} tokens, but the learned position table has {model.n_ctx}; "
            f"set model.n_ctx to {needed} or more, use shorter examples, or positions 'rotary' or 'none', which run at "
            "any length"
        )
