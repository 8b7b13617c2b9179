"""A label: what a probe is asked to read at each position of an example."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from tasks import Batch, InvalidValueError, Task, list_tasks
from tasks.registry import get_task

LabelFunction = Callable[[Task, Batch], Int[Tensor, "batch pos"]]
"""From a task, bound to the vocabulary of its examples, and some examples to a whole number at each of their tokens'
positions: what is to be read from the activations there; -1 where there is nothing to read."""


@dataclass(frozen=True)
class Label:
    """A quantity of a task that has a value at some positions.

    Attributes:
        name: Its name.
        meaning: What its value is, and where it has one.
        function: Gives the values.
        tasks: The classes of the tasks that have it.
    """

    name: str
    meaning: str
    function: LabelFunction
    tasks: tuple[type[Task], ...] = (Task,)

    def applies(self, task: Task) -> bool:
        """Whether the task has this quantity."""
        return isinstance(task, self.tasks)

    def task_names(self) -> list[str]:
        """The tasks by name that have this quantity."""
        return [name for name in list_tasks() if self.applies(get_task(name))]

    def values(self, task: Task, batch: Batch) -> Int[Tensor, "batch pos"]:
        """The label at every token's position; -1 where there is none.

        Raises:
            InvalidValueError: A function of the user's gives something else than one whole number >= -1 per position.
        """
        found = self.function(task, batch)
        wanted = f"label {self.name!r} must give one whole number, -1 or more, for each of the "
        if not isinstance(found, Tensor) or tuple(found.shape) != tuple(batch.tokens.shape):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InvalidValueError(f"{wanted}{tuple(batch.tokens.shape)} tokens. Got {shape}")
        if found.is_floating_point() or found.is_complex():
            raise InvalidValueError(f"{wanted}{tuple(batch.tokens.shape)} tokens. Got {found.dtype}; use int64")
        if bool((found < -1).any()):
            raise InvalidValueError(f"{wanted}{tuple(batch.tokens.shape)} tokens. Got {int(found.min())}")
        return found.to(batch.tokens.device, torch.int64)
