"""Primitives by name, and those that a task has."""

from collections.abc import Sequence

from analyses.primitives.carry import Carry
from analyses.primitives.copy import AnswerCopy, Copy
from analyses.primitives.identity_successor import IdentitySuccessor
from analyses.primitives.induction import Induction
from analyses.primitives.minimum import Minimum
from analyses.primitives.offset_copy import MirrorCopy, OffsetCopy
from analyses.primitives.previous_token import PreviousToken
from analyses.primitives.primitive import Primitive
from analyses.primitives.successor import EndSuccessor, Successor
from tasks import InvalidValueError, Task
from tasks.errors import unknown_name

_PRIMITIVES: dict[str, Primitive] = {
    one.name: one
    for one in (
        Copy(), AnswerCopy(), Minimum(), Successor(), EndSuccessor(), IdentitySuccessor(), PreviousToken(), Induction(),
        OffsetCopy(), MirrorCopy(), Carry(),
    )
}  # fmt: skip


def list_primitives() -> list[str]:
    """The names of all primitives."""
    return list(_PRIMITIVES)


def get_primitive(name: str) -> Primitive:
    """The primitive of that name.

    Raises:
        UnknownNameError: No primitive has that name.
    """
    if name not in _PRIMITIVES:
        raise unknown_name("primitive", name, _PRIMITIVES, listing=f"the primitives are {', '.join(_PRIMITIVES)}")
    return _PRIMITIVES[name]


def primitives_of(task: Task, names: Sequence[str] = ()) -> list[Primitive]:
    """The primitives of these names, or, if none is named, all that have a meaning in a task.

    Raises:
        UnknownNameError: No primitive has that name.
        InvalidValueError: A primitive that has no meaning in the task.
    """
    serving = [one for one in _PRIMITIVES.values() if one.serves(task)]
    if not names:
        return serving
    asked = [get_primitive(name) for name in names]
    for one in asked:
        if not one.serves(task):
            raise InvalidValueError(
                f"primitive {one.name!r} does not apply to task {task.name!r}: it is one of {one.trades}; "
                f"{task.name!r} has {', '.join(other.name for other in serving)}"
            )
    return asked
