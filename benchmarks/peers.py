"""Libraries that only a contender needs, imported when it is made; where they cannot be, it is left out."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

Made = TypeVar("Made")


def imported(name: str) -> Any:
    """The library, without what nnsight does to the process when it is imported, by us or by pyvene.

    Raises:
        ImportError: It is not there, or not whole.
    """
    library = import_module(name)
    if hasattr(object, "save"):  # nnsight gives every object of the process such a method; `nnsight.save` does as well
        import_module("nnsight._c").unmount("save")
    return library


def made(makers: Mapping[str, Callable[[], Made]]) -> tuple[dict[str, Made], dict[str, str]]:
    """Whatever can be made here, by name; and why the rest cannot."""
    found: dict[str, Made] = {}
    left_out: dict[str, str] = {}
    for name, maker in makers.items():
        try:
            found[name] = maker()
        except ImportError as reason:
            left_out[name] = str(reason)
    return found, left_out
