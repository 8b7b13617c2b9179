"""The errors that this project raises for its users' mistakes, and the did-you-mean behind their texts."""

import difflib
from collections.abc import Iterable


class InterpError(Exception):
    """A mistake that the user can mend: the text says what was asked, what is allowed and what to do next.

    The command line prints the text as one line and exits with code 2; a notebook shows it as it is.
    """


class UnknownNameError(InterpError):
    """A name (task, group, preset, run, metric, ...) that does not exist."""


class InvalidValueError(InterpError):
    """A value outside what is allowed (length, head, configuration field, ...)."""


class BrokenRunError(InterpError):
    """A run folder that is missing, unfinished, damaged, or written by a newer version."""


def unknown_name(kind: str, asked: str, known: Iterable[str], *, listing: str) -> UnknownNameError:
    """The error for an unknown name, with the nearest known one and where to find all of them.

    Args:
        kind: What the name stands for, for example "task".
        asked: What the user wrote.
        known: Every allowed name.
        listing: The sentence that says where all are listed, for example "'interp tasks' lists all 5".

    Returns:
        The error, to be raised by the caller.
    """
    close = difflib.get_close_matches(asked, list(known), n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return UnknownNameError(f"unknown {kind} {asked!r}{hint} {listing}")
