"""Tokens that the residual stream may hold at a position: the same one, the minimum, the successor, the next target."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from analyses.primitives.anatomy import NO_VALUE, Anatomy
from tasks import Batch, InvalidValueError, Task
from tasks.errors import unknown_name
from tasks.sorting.numbers import NumberTask


@dataclass(frozen=True)
class Wanted:
    """The tokens that are looked for at each position.

    Attributes:
        defined: True at positions that have such tokens.
        tokens: The tokens, all different at a position; without meaning where it has none.
    """

    defined: Bool[Tensor, "batch pos"]
    tokens: Int[Tensor, "batch pos token"]


@dataclass(frozen=True)
class Asked:
    """Examples of a task and what stands where in them; the task speaks the vocabulary that they are written in."""

    task: Task
    batch: Batch
    parts: Anatomy

    @property
    def same(self) -> Wanted:
        """The token at the position."""
        return Wanted(torch.ones_like(self.parts.end), self.parts.tokens[..., None])

    @property
    def target(self) -> Wanted:
        """The scored token that follows."""
        return Wanted(self.batch.predicting, self.batch.tokens[:, 1:, None])

    @property
    def minimum(self) -> Wanted:
        """The smallest element of those that the position sees."""
        least = self.parts.least
        return Wanted(least < self.parts.none, self._tokens(least)[..., None])

    @property
    def successor(self) -> Wanted:
        """The next larger element of those that the position sees."""
        following = self.parts.following
        return Wanted(following < self.parts.none, self._tokens(following)[..., None])

    @property
    def identity_successor(self) -> Wanted:
        """The element that is asked about and the next larger one."""
        asked, following = self.parts.asked, self.parts.following
        defined = (following < self.parts.none) & (asked != NO_VALUE)
        return Wanted(defined, torch.stack((self._tokens(asked), self._tokens(following)), dim=-1))

    def _tokens(self, values: Int[Tensor, "batch pos"]) -> Int[Tensor, "batch pos"]:
        numbers = self.task.vocabulary.ids(self.task.replaceable).to(values.device)
        return numbers[values.clamp(0, len(numbers) - 1)]


_ALL: dict[str, Callable[[Asked], Wanted]] = {"same": lambda one: one.same, "target": lambda one: one.target}

_OF_NUMBERS: dict[str, Callable[[Asked], Wanted]] = {
    "minimum": lambda one: one.minimum,
    "successor": lambda one: one.successor,
    "identity_successor": lambda one: one.identity_successor,
}


def list_lens_targets() -> list[str]:
    """The names of all targets."""
    return [*_ALL, *_OF_NUMBERS]


def check_targets(names: Sequence[str]) -> None:
    """Raises UnknownNameError or InvalidValueError unless these are targets, each named once."""
    known = list_lens_targets()
    for name in names:
        if name not in known:
            raise unknown_name("lens target", name, known, listing=f"the lens targets are {', '.join(known)}")
        if names.count(name) > 1:
            raise InvalidValueError(f"lens target {name!r} is named twice; name each target once")


def targets_of(task: Task, names: Sequence[str]) -> list[str]:
    """These targets, or all that a task has if none is named.

    Raises:
        InvalidValueError: A target that the task does not have.
    """
    has = [*_ALL, *(_OF_NUMBERS if isinstance(task, NumberTask) else ())]
    for name in names:
        if name not in has:
            raise InvalidValueError(
                f"lens target {name!r} does not apply to task {task.name!r}, which has no sequence of numbers; "
                f"it has {', '.join(has)}"
            )
    return list(names) or has


def wanted(name: str, task: Task, batch: Batch, parts: Anatomy) -> Wanted:
    """The tokens of a target in examples of a task, which speaks the vocabulary that they are written in."""
    return {**_ALL, **_OF_NUMBERS}[name](Asked(task, batch, parts))
