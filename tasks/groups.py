"""Groups of tasks that are trained together: a main task at short lengths, auxiliaries at long ones, a control."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property, reduce

from tasks.errors import InvalidValueError, unknown_name
from tasks.registry import get_task
from tasks.task import Task
from tasks.vocabulary import Vocabulary


@dataclass(frozen=True)
class Member:
    """A task and the greatest length that it is trained at (uniform over 1..max_length).

    Raises:
        InvalidValueError: A length that the task cannot make.
    """

    task: Task
    max_length: int

    def __post_init__(self) -> None:
        self.task.check_length(self.max_length)


@dataclass(frozen=True)
class Group:
    """A main task, the auxiliaries that should carry it to their lengths, and the controls that should not.

    Every task is bound to the group's one vocabulary, so that models trained with the auxiliaries, alone and with the
    controls have the same shape.

    Attributes:
        name: The group's name.
        main: The main task at its short lengths.
        auxiliaries: Related tasks at long lengths.
        controls: Unrelated tasks at the same long lengths, taking the auxiliaries' place in the control condition; none
            if the group itself is a control.
        source: Where the group comes from.

    Raises:
        InvalidValueError: A task twice, or no auxiliary.
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
        if not self.auxiliaries:
            raise InvalidValueError(f"group {self.name!r} has no auxiliary; it needs at least one")
        for role in ("auxiliaries", "controls"):
            object.__setattr__(self, role, tuple(self._bound(member) for member in getattr(self, role)))
        object.__setattr__(self, "main", self._bound(self.main))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The union of the tasks' vocabularies: main, auxiliaries, controls."""
        return reduce(Vocabulary.union, (member.task.vocabulary for member in self._members))

    @property
    def auxiliary_length(self) -> int:
        """The greatest length of any auxiliary."""
        return max(member.max_length for member in self.auxiliaries)

    def with_lengths(self, *, main: int, auxiliary: int) -> "Group":
        """The same group at other lengths: the main task's, and that of every auxiliary and control."""
        return dataclasses.replace(
            self,
            main=Member(self.main.task, main),
            auxiliaries=tuple(Member(member.task, auxiliary) for member in self.auxiliaries),
            controls=tuple(Member(member.task, auxiliary) for member in self.controls),
        )

    @property
    def _members(self) -> tuple[Member, ...]:
        return (self.main, *self.auxiliaries, *self.controls)

    def _bound(self, member: Member) -> Member:
        return Member(member.task.bind(self.vocabulary), member.max_length)


def _letters(name: str, max_length: int) -> Member:
    """A string task on the small alphabet of the CPU-sized groups."""
    return Member(get_task(name, alphabet=12, case="lower"), max_length)


_GROUPS = {
    group.name: group
    for group in (
        Group(
            name="copy+shift",
            main=_letters("shift", 10),
            auxiliaries=(_letters("copy", 20),),
            controls=(_letters("reverse", 20),),
            source="ours, CPU-sized: both tasks read the letter as far back as the word is long",
        ),
        Group(
            name="reverse+shift",
            main=_letters("shift", 10),
            auxiliaries=(_letters("reverse", 20),),
            controls=(),
            source="the control of copy+shift as a group: no shared position rule, so no transfer is expected",
        ),
        Group(
            name="capitalize_reverse",
            main=Member(get_task("capitalize_reverse"), 16),
            auxiliaries=(Member(get_task("capitalize"), 32), Member(get_task("reverse"), 32)),
            controls=(Member(get_task("copy"), 32),),
            source="Extrapolation by Association, string group",
        ),
    )
}


def list_groups() -> list[str]:
    """The names of all groups, in alphabetical order."""
    return sorted(_GROUPS)


def get_group(name: str) -> Group:
    """The group of that name.

    Raises:
        UnknownNameError: No group has that name.
    """
    if name not in _GROUPS:
        raise unknown_name("group", name, _GROUPS, listing=f"the groups are {', '.join(list_groups())}")
    return _GROUPS[name]
