"""The groups of both papers and our own, as data, each of the papers' with a variant small enough for a processor."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from tasks.errors import unknown_name
from tasks.groups import Group
from tasks.lengths import LengthDistribution
from tasks.member import Member
from tasks.registry import get_task

SCALED = "-scaled"
"""Ending of the name of a group's small variant: shorter lengths, and fewer letters or nodes."""

P1 = "Extrapolation by Association, section 3"
P2 = "Task Hinting, section 4"


@dataclass(frozen=True)
class Recipe:
    """What a group is made from.

    Attributes:
        main: The main task's name.
        auxiliaries: The auxiliaries' names.
        controls: The controls' names.
        lengths: The greatest training length of the main task, and of all others.
        scaled: The same two for the small variant; none if the group is small already.
        source: Where the group comes from.
        parameters: Parameters of those of its tasks that have them.
        smaller: Those that the small variant has instead.
        distribution: How training lengths are distributed.
    """

    main: str
    auxiliaries: tuple[str, ...]
    controls: tuple[str, ...]
    lengths: tuple[int, int]
    scaled: tuple[int, int] | None
    source: str
    parameters: Mapping[str, int | float | str] = field(default_factory=dict)
    smaller: Mapping[str, int | float | str] = field(default_factory=dict)
    distribution: LengthDistribution = "uniform"


_ADD, _MAZE, _LETTERS = (10, 20), {"rows": 4, "columns": 4}, {"alphabet": 12}
_SMALL: Mapping[str, int | float | str] = {"alphabet": 12, "case": "lower"}

RECIPES: dict[str, Recipe] = {
    "add/carry": Recipe("reverse_add", ("no_carry", "carry_only"), ("copy_first",), (16, 32), _ADD, P1),
    "add/subtract": Recipe("reverse_add", ("reverse_subtract",), ("copy_first",), (16, 32), _ADD, P1),
    "add/multiply": Recipe("reverse_add", ("multiply_cot",), ("copy_first",), (8, 16), (5, 10), P1),
    "add/copy_first": Recipe("reverse_add", ("copy_first",), (), (16, 32), _ADD, f"{P1}: a control"),
    "copy/recall": Recipe("copy", ("mqar",), ("reverse",), (16, 32), (10, 20), P1, smaller=_LETTERS),
    "copy/reverse": Recipe("copy", ("reverse",), (), (16, 32), (10, 20), f"{P1}: a control", smaller=_LETTERS),
    "capitalize_reverse": Recipe(
        "capitalize_reverse", ("capitalize", "reverse"), ("copy",), (16, 32), (10, 20), P1, smaller=_LETTERS
    ),
    "maze": Recipe("dfs_trace", ("shortest_path",), (), (32, 64), (8, 16), P1, smaller=_MAZE),
    "maze/swapped": Recipe("shortest_path", ("dfs_trace",), (), (32, 64), (8, 16), P1, smaller=_MAZE),
    "sort/successor": Recipe("sort", ("successor",), ("count",), (20, 20), (12, 12), P2, distribution="skewed"),
    "sort/count": Recipe("sort", ("count",), (), (20, 20), (12, 12), P2, distribution="skewed"),
    "sort/fill": Recipe("sort", ("fill",), (), (20, 20), (12, 12), P2, distribution="skewed"),
    "increment/successor": Recipe("increment", ("digit_successor",), (), (20, 20), (12, 12), P2, distribution="skewed"),
    "copy+shift": Recipe(
        "shift", ("copy",), ("reverse",), (10, 20), None,
        "ours, CPU-sized: both tasks read the letter as far back as the word is long", parameters=_SMALL,
    ),
    "reverse+shift": Recipe(
        "shift", ("reverse",), (), (10, 20), None,
        "the control of copy+shift as a group: no shared position rule, so no transfer is expected", parameters=_SMALL,
    ),
    "sort+successor": Recipe(
        "sort", ("successor",), ("count",), (8, 24), None,
        "ours, CPU-sized: where no number stands twice, each answer of sort is the successor of the one before",
        parameters={"elements": "distinct", "relation": "smaller"}, distribution="skewed",
    ),
}  # fmt: skip


def list_groups() -> list[str]:
    """The names of all groups, in alphabetical order; a small variant follows its group."""
    return sorted([*RECIPES, *(name + SCALED for name, recipe in RECIPES.items() if recipe.scaled)])


@cache
def get_group(name: str) -> Group:
    """The group of that name.

    Raises:
        UnknownNameError: No group has that name.
    """
    if name not in list_groups():
        known = list_groups()
        raise unknown_name("group", name, known, listing=f"'interp tasks' lists all {len(known)}")
    recipe = RECIPES[name.removesuffix(SCALED)]
    source = recipe.source
    if name.endswith(SCALED) and recipe.scaled:
        parameters = {**recipe.parameters, **recipe.smaller}
        recipe = dataclasses.replace(recipe, lengths=recipe.scaled, parameters=parameters)
        source = f"{source}; scaled down for a processor"
    main, other = recipe.lengths
    return Group(
        name=name,
        main=_member(recipe, recipe.main, main),
        auxiliaries=tuple(_member(recipe, task, other) for task in recipe.auxiliaries),
        controls=tuple(_member(recipe, task, other) for task in recipe.controls),
        source=source,
    )


def _member(recipe: Recipe, name: str, max_length: int) -> Member:
    """One of the recipe's tasks, with those of its parameters that the task has."""
    has = [field.name for field in dataclasses.fields(get_task(name))]
    own = {key: value for key, value in recipe.parameters.items() if key in has}
    return Member(get_task(name, **own), max_length, recipe.distribution)
