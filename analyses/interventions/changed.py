"""An activation where it may differ from the clean run's, for every intervention of a stack."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from analyses.interventions.places import Places


@dataclass(frozen=True)
class HeadChange:
    """One head's output changed, in each intervention.

    Attributes:
        heads: Which head.
        change: By how much its z changed.
    """

    heads: Int[Tensor, " stack"]
    change: Float[Tensor, "stack batch place d_head"]


@dataclass(frozen=True)
class Changed:
    """An activation where it may differ from the clean run's.

    Attributes:
        places: At which positions.
        values: What it is there.
        by_heads: What changed it, where that was one head of each intervention and nothing else.
    """

    places: Places
    values: Float[Tensor, "stack batch place *width"]
    by_heads: HeadChange | None = None


def with_places(
    stack: int, changed: Changed | None, clean: Float[Tensor, "batch pos *width"], places: Places
) -> Changed:
    """The same activation at these places too, with its clean values where it had not changed."""
    if changed is None:
        values = clean[:, places.index(clean.device)]
        return Changed(places, values.expand(stack, *values.shape).clone())
    if changed.places.covers(places):
        return changed
    return everything(changed, clean, changed.places | places)


def everything(changed: Changed, clean: Float[Tensor, "batch pos *width"], wanted: Places) -> Changed:
    """The activation at the wanted places, and no others."""
    if changed.places == wanted:
        return changed
    if changed.places.covers(wanted):
        return Changed(wanted, changed.values[:, :, wanted.inside(changed.places, clean.device)])
    values = clean[:, wanted.index(clean.device)]
    values = values.expand(len(changed.values), *values.shape).clone()
    both = changed.places & wanted
    if both:
        inside = both.inside(changed.places, clean.device)
        values[:, :, both.inside(wanted, clean.device)] = changed.values[:, :, inside]
    return Changed(wanted, values)


def values_of(
    changed: Changed | None, clean: Float[Tensor, "batch pos *width"], number: int, places: Places
) -> Float[Tensor, "batch place *width"]:
    """The activation of one intervention at some places."""
    values = clean[:, places.index(clean.device)]
    if changed is None or not (both := changed.places & places):
        return values
    values = values.clone()
    inside = both.inside(changed.places, clean.device)
    values[:, both.inside(places, clean.device)] = changed.values[number][:, inside]
    return values


def put(
    into: Float[Tensor, "batch place width"], axis: Places, places: Places, values: Float[Tensor, "#batch put width"]
) -> None:
    """Writes values in place at some of the places that an axis stands for."""
    into[:, places.inside(axis, into.device)] = values
