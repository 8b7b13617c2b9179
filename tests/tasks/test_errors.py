"""The errors' family, and the did-you-mean."""

import pytest

from tasks import BrokenRunError, InterpError, InvalidValueError, UnknownNameError
from tasks.errors import unknown_name

LISTING = "'interp tasks' lists all 3"


@pytest.mark.parametrize("kind", [UnknownNameError, InvalidValueError, BrokenRunError])
def test_every_error_is_an_interp_error(kind: type[InterpError]) -> None:
    assert issubclass(kind, InterpError)


def test_unknown_name_suggests_the_nearest() -> None:
    error = unknown_name("task", "revrse", ["copy", "reverse", "shift"], listing=LISTING)
    assert type(error) is UnknownNameError
    assert str(error) == "unknown task 'revrse'; did you mean 'reverse'? 'interp tasks' lists all 3"


@pytest.mark.parametrize("asked", ["", "xyz", "a very long name that is like none"])
def test_unknown_name_without_a_near_one_suggests_nothing(asked: str) -> None:
    error = unknown_name("task", asked, ["copy", "reverse", "shift"], listing=LISTING)
    assert str(error) == f"unknown task {asked!r}; 'interp tasks' lists all 3"


def test_unknown_name_reads_any_iterable() -> None:
    error = unknown_name("head", "1.O", iter(["1.0"]), listing="heads are 0.0 to 1.3")
    assert str(error) == "unknown head '1.O'; did you mean '1.0'? heads are 0.0 to 1.3"


def test_text_stays_one_line() -> None:
    assert "\n" not in str(unknown_name("task", "two\nlines", ["copy"], listing=LISTING))
