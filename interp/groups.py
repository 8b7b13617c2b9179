"""A group of tasks as the command line names it."""

from pathlib import Path

from analyses.store import result_digest
from tasks import Group, get_group


def chosen_group(name: str, main_length: int | None, auxiliary_length: int | None) -> Group:
    """The group of that name, at other lengths if they are given.

    Raises:
        UnknownNameError: No such group.
        InvalidValueError: A length that a task cannot make.
    """
    group = get_group(name)
    main = group.main.max_length if main_length is None else main_length
    auxiliary = group.auxiliary_length if auxiliary_length is None else auxiliary_length
    return group.with_lengths(main=main, auxiliary=auxiliary)


def default_name(group: str, preset: str, seed: int, *, changes: tuple[object, ...]) -> str:
    """A name for what is made from a group, a preset and a seed; with a digest of any other options that were given."""
    parts = [group.replace("/", "-"), Path(preset).stem, f"seed{seed}"]
    return "-".join(parts + ([result_digest({"changes": changes})[:6]] if any(changes) else []))
