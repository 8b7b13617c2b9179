"""Groups of tasks that are trained together: a main task at short lengths, auxiliaries at long ones, a control."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property, reduce

from tasks.errors import InvalidValueError
from tasks.frame import Marking
from tasks.member import Member
from tasks.vocabulary import Vocabulary


@dataclass(frozen=True)
class Group:
    """A main task, the auxiliaries that should carry it to their lengths, and the controls that should not.

    Every task is bound to the group's one vocabulary, so that models trained with the auxiliaries, alone and with the
    controls have the same shape.

    Attributes:
        name: The group's name.
        main: The main task at its short lengths.
        auxiliaries: Related tasks at long lengths; none if the main task is only trained alone.
        controls: Unrelated tasks at the same long lengths, taking the auxiliaries' place in the control condition; none
            if the group itself is a control.
        source: Where the group comes from.

    Raises:
        InvalidValueError: A task twice, or tasks with different markings.
    """

    name: str
    main: Member
    auxiliaries: tuple[Member, ...]
    controls: tuple[Member, ...]
    source: str

    def __post_init__(self) -> None:
        names = [member.task.name for member in self._members]
        if len(set(names)) < len(names):
            raise InvalidValueError(f"group {self.name!r} names a task twice: {', '.join(names)}; each may stand once")
        markings = sorted({member.task.marking for member in self._members})
        if len(markings) > 1:
            raise InvalidValueError(
                f"the tasks of group {self.name!r} are marked in several ways, {' and '.join(markings)}; choose one"
            )
        for role in ("auxiliaries", "controls"):
            object.__setattr__(self, role, tuple(self._bound(member) for member in getattr(self, role)))
        object.__setattr__(self, "main", self._bound(self.main))

    @property
    def marking(self) -> Marking:
        """How the examples of all its tasks say which task they are."""
        return self.main.task.marking

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The union of the tasks' vocabularies: main, auxiliaries, controls."""
        return reduce(Vocabulary.union, (member.task.vocabulary for member in self._members))

    @property
    def auxiliary_length(self) -> int:
        """The greatest length of any auxiliary; the main task's, if there is none."""
        return max((member.max_length for member in self.auxiliaries), default=self.main.max_length)

    def with_lengths(self, *, main: int, auxiliary: int) -> "Group":
        """The same group at other lengths: the main task's, and that of every auxiliary and control."""
        return dataclasses.replace(
            self,
            main=dataclasses.replace(self.main, max_length=main),
            auxiliaries=tuple(dataclasses.replace(member, max_length=auxiliary) for member in self.auxiliaries),
            controls=tuple(dataclasses.replace(member, max_length=auxiliary) for member in self.controls),
        )

    def with_marking(self, marking: Marking) -> "Group":
        """The same group with another way to say which task an example is."""

        def marked(member: Member) -> Member:
            return dataclasses.replace(member, task=dataclasses.replace(member.task, marking=marking))

        return dataclasses.replace(
            self,
            main=marked(self.main),
            auxiliaries=tuple(marked(member) for member in self.auxiliaries),
            controls=tuple(marked(member) for member in self.controls),
        )

    @property
    def _members(self) -> tuple[Member, ...]:
        return (self.main, *self.auxiliaries, *self.controls)

    def _bound(self, member: Member) -> Member:
        return dataclasses.replace(member, task=member.task.bind(self.vocabulary))
