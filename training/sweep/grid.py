"""A grid of training configurations: what is fixed, what is varied, and the cells that follow."""

import itertools
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks import InvalidValueError
from tasks.errors import unknown_name
from training.config import Config
from training.sweep.cells import KEYS, SECTIONS, Cell, shown


class Grid(Config):
    """What a sweep trains: each combination of the axes' values, beside what is fixed.

    Keys are `group`, `preset`, `condition`, `main_length`, `auxiliary_length`, `marking`, `seed`, `data_seed`, and any
    of a preset's, as in `train.steps`; `{"train": {"steps": 600}}` is read as `{"train.steps": 600}`.

    Attributes:
        name: The sweep's name, and its folder's.
        impossible: What becomes of cells whose values contradict each other: `refuse` the grid, or `skip` them.
        fixed: Values that all cells have.
        axes: For each key that is varied, its values.

    Raises:
        UnknownNameError: Through `read`: a key that does not exist.
        InvalidValueError: Through `read`: an axis without values, or with one twice; a key that is fixed and varied.
    """

    name: str
    impossible: Literal["refuse", "skip"] = "refuse"
    fixed: dict[str, Any] = Field(default={})
    axes: dict[str, tuple[Any, ...]] = Field(default={})

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Makes the grid from plain values, as `Config.read` does, and checks that its keys exist."""
        grid = super().read(values)
        for key in (*grid.fixed, *grid.axes):
            if key not in KEYS:
                own = ", ".join(known for known in KEYS if "." not in known)
                listing = f"a grid may name {own}, and any key of a preset, as in 'train.steps'"
                raise unknown_name("grid key", key, KEYS, listing=listing)
        return grid

    @field_validator("fixed", mode="before")
    @classmethod
    def _flat(cls, values: Any) -> Any:
        return _flattened(values) if isinstance(values, Mapping) else values

    @field_validator("axes", mode="before")
    @classmethod
    def _lists(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        axes = _flattened(values)
        for key, several in axes.items():
            if not isinstance(several, list | tuple):
                raise ValueError(f"axis {key!r} is no list; write {key} = [...], or put a single value in [fixed]")
            if not several:
                raise ValueError(f"axis {key!r} has no values; name at least one")
            texts = [json.dumps(value, default=str) for value in several]
            twice = [text for text in texts if texts.count(text) > 1]
            if twice:
                raise ValueError(f"axis {key!r} names {twice[0]} twice; each value may stand once")
        return axes

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        both = [key for key in self.axes if key in self.fixed]
        if both:
            raise ValueError(f"{both[0]!r} is both fixed and an axis; name it once")
        if "group" not in (*self.fixed, *self.axes):
            raise ValueError("the grid names no group; put one in [fixed], as in group = 'copy+shift'")
        return self

    def cells(self) -> tuple[Cell, ...]:
        """All cells, the last axis varying fastest; with `skip`, impossible ones say why they are.

        Raises:
            UnknownNameError: A key, group or preset that does not exist.
            InvalidValueError: A cell is impossible; or, with `skip`, all cells with one of the values are, so that the
                value itself must be wrong.
        """
        combinations = [dict(zip(self.axes, values, strict=True)) for values in itertools.product(*self.axes.values())]
        cells = tuple(self._cell(values) for values in combinations)
        for key, values in self.axes.items():
            for value in values:
                having = [cell for cell in cells if cell.values[key] is value]
                if all(cell.error for cell in having):
                    raise InvalidValueError(f"no cell with {key} = {shown(value)} is possible: {having[0].error}")
        return cells

    def _cell(self, values: dict[str, Any]) -> Cell:
        try:
            return Cell.of(values, self.fixed)
        except InvalidValueError as error:
            cell = Cell(values, error=str(error))
            if self.impossible == "skip" and self.axes:
                return cell
            raise InvalidValueError(
                f"the grid's cell {cell.title or 'without axes'} is impossible: {error}; mend the grid, "
                "or let it leave such cells out with impossible = 'skip'"
            ) from None


def read_grid(path: Path | str) -> Grid:
    """Reads a grid from TOML: `name` (the file's, if left out), `impossible`, and the tables `fixed` and `axes`.

    Raises:
        UnknownNameError: A key that does not exist.
        InvalidValueError: The file cannot be read, is not TOML, or holds no grid.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidValueError(
            f"cannot read the grid {str(path)!r}: {error.strerror or error}; check the path"
        ) from None
    except ValueError as error:
        raise InvalidValueError(f"{str(path)!r} is not TOML: {error}; docs/sweeps.md shows a grid") from None
    return Grid.read({"name": path.stem, **values})


def _flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of sections, as in `{"train": {"steps": 600}}`, written as keys, `{"train.steps": 600}`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = name in SECTIONS and isinstance(value, Mapping)
        found = {f"{name}.{key}": one for key, one in value.items()} if inner else {name: value}
        twice = [key for key in found if key in flat]
        if twice:
            raise ValueError(f"{twice[0]!r} stands there twice; name it once")
        flat |= found
    return flat
