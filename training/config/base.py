"""What every configuration is: frozen, checked when made, and without room for unknown keys."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks import InvalidValueError, UnknownNameError
from tasks.errors import unknown_name

Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
PositiveFloat = Annotated[float, Field(gt=0)]


class Config(BaseModel):
    """A frozen configuration without room for unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Makes the configuration from plain values.

        Raises:
            UnknownNameError: A key that does not exist.
            InvalidValueError: A value that is not allowed, or a key that is missing.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise _one_line(cls, error) from None


def _one_line(config: type[Config], error: ValidationError) -> InvalidValueError | UnknownNameError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *path, key = first["loc"]
        keys = list(_owner(config, path).model_fields)
        where = f" of {place.rpartition('.')[0]!r}" if path else ""
        return unknown_name("config key", str(key), keys, listing=f"the keys{where} are {', '.join(keys)}")
    text = first["msg"].removeprefix("Value error, ")
    if not place:
        return InvalidValueError(text)
    if first["type"] == "missing":
        return InvalidValueError(f"config key {place!r} is missing; it must be given")
    return InvalidValueError(f"config key {place!r} = {first['input']!r}: {text[0].lower()}{text[1:]}")


def _owner(config: type[Config], path: Sequence[int | str]) -> type[Config]:
    """The configuration class that holds the keys at a path; a number stands for a place in a tuple of them."""
    for part in path:
        if isinstance(part, str):
            kind = config.model_fields[part].annotation
            config = next(one for one in (kind, *get_args(kind)) if isinstance(one, type) and issubclass(one, Config))
    return config
