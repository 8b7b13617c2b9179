"""At which positions of the examples an intervention is made."""

from collections.abc import Sequence
from typing import Literal, get_args

from analyses.interventions.places import Places
from analyses.interventions.sites import check_positions
from tasks import Batch, InvalidValueError
from tasks.errors import unknown_name

Scope = Literal["all", "prompt", "answer"]

Positions = Scope | tuple[int, ...]
"""`all`; `prompt`: the tokens before the first scored one, the final `=` among them; `answer`: from the first scored
token on (the last token of all predicts nothing and is not read); or positions by number, from 0."""


def check_scope(positions: Positions) -> None:
    """Raises UnknownNameError or InvalidValueError unless these are positions, or the name of some."""
    if isinstance(positions, str):
        if positions not in get_args(Scope):
            listing = "the scopes are all, prompt and answer, and positions can be given by number"
            raise unknown_name("scope", positions, get_args(Scope), listing=listing)
    elif len(set(positions)) < len(positions) or not positions:
        raise InvalidValueError(f"positions {positions} must be at least one, each named once")


def places_of(positions: Positions, batch: Batch) -> Places:
    """The positions that are meant, in examples whose prompts have one length.

    Raises:
        InvalidValueError: A position that is not there, or a scope that is empty.
    """
    width = batch.inputs.shape[1]
    if isinstance(positions, str):
        first = int(batch.scored[0].int().argmax())
        chosen: Sequence[int] = {"all": range(width), "prompt": range(first), "answer": range(first, width)}[positions]
        if not chosen:
            raise InvalidValueError(
                f"there are no {positions} positions: the model reads {width} tokens and the first answer token stands "
                f"at {first}; use another scope"
            )
    else:
        chosen = positions
    places = Places.of(chosen)
    check_positions(places.positions, width=width)
    return places


def scope_text(positions: Positions) -> str:
    """Positions as they stand in tables: `all`, `prompt`, `answer`, or numbers."""
    return positions if isinstance(positions, str) else " ".join(map(str, positions))
