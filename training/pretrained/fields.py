"""The fields of a checkpoint's JSON files, each refused by file, name and value."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import BrokenRunError, InvalidValueError

FETCH_AGAIN = "fetch the checkpoint again"
"""What to do with a checkpoint whose files are damaged."""


@dataclass(frozen=True)
class Fields:
    """A JSON object with the file that it was read from.

    Attributes:
        file: The file.
        values: Its fields.
    """

    file: Path
    values: Mapping[str, Any]

    @classmethod
    def read(cls, file: Path) -> "Fields":
        """Reads a file.

        Raises:
            BrokenRunError: The file is missing, or not a whole JSON object.
        """
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BrokenRunError(f"{str(file)!r} is missing, so this is no checkpoint; {FETCH_AGAIN}") from None
        except (OSError, ValueError) as error:
            raise BrokenRunError(f"{str(file)!r} cannot be read ({error}); {FETCH_AGAIN}") from None
        if not isinstance(values, dict):
            raise BrokenRunError(f"{str(file)!r} holds no JSON object; {FETCH_AGAIN}")
        return cls(file, values)

    def refused(self, field: str, why: str) -> InvalidValueError:
        """The error for a field's value, to be raised by the caller. `field` may be a path such as `rope.factor`."""
        value: Any = self.values
        for part in field.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return InvalidValueError(f"{str(self.file)!r}: field {field!r} = {value!r}: {why}")

    def inner(self, *names: str) -> "tuple[str, Mapping[str, Any]]":
        """The first of several fields that holds an object, with its name; an empty one if none does.

        Raises:
            InvalidValueError: It holds something else.
        """
        for name in names:
            value = self.values.get(name)
            if value is not None and not isinstance(value, Mapping):
                raise self.refused(name, "an object with named values is needed")
            if value:
                return name, value
        return names[0], {}

    def count(self, field: str, *, otherwise: int = 0) -> int:
        """A number of things, at least 1.

        Args:
            field: The field's name.
            otherwise: The value where it is absent or null; 0 if it must be given.

        Raises:
            InvalidValueError: It is absent, or no positive whole number.
        """
        value = self.values.get(field)
        if value is None and otherwise:
            return otherwise
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.refused(field, "a whole number of at least 1 is needed")
        return value

    def flag(self, field: str) -> bool:
        """A truth value, false where it is absent or null.

        Raises:
            InvalidValueError: It is something else.
        """
        value = self.values.get(field)
        if value is not None and not isinstance(value, bool):
            raise self.refused(field, "true or false is needed")
        return bool(value)

    def number(self, field: str, value: Any) -> float:
        """A value read for a field, as a positive, finite number.

        Raises:
            InvalidValueError: It is none.
        """
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not (value > 0 and math.isfinite(value)):
            raise self.refused(field, "a number above 0 is needed")
        return float(value)
