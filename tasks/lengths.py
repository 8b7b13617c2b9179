"""How the lengths of training examples are distributed."""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tasks.errors import InvalidValueError, unknown_name

LengthDistribution = Literal["uniform", "skewed"]
"""`uniform`: every length from the shortest to the longest is equally likely (Extrapolation by Association).

`skewed`: four examples in five have at most a quarter of the longest length, uniformly from 2 on; the fifth is uniform
over the lengths above. With 20 as the longest: 80 % in 2..5, 20 % in 6..20 (Task Hinting, section 4). It is the law of
an example's length, also where that is the longer of two operands.
"""

SHORT_SHARE = 0.8
"""Share of the short lengths in `skewed`."""

SHORT_PART = 4
"""`skewed` calls the first 1/4 of the lengths short."""


def check_distribution(name: str, *, longest: int, shortest: int) -> None:
    """Raises an error unless lengths up to `longest` can be distributed so.

    Raises:
        UnknownNameError: No distribution has that name.
        InvalidValueError: `skewed` would have no short length or no long one.
    """
    known = get_args(LengthDistribution)
    if name not in known:
        raise unknown_name("length distribution", name, known, listing=f"they are {', '.join(known)}")
    first = _first_skewed(shortest)
    if name == "skewed" and longest < SHORT_PART * first:
        raise InvalidValueError(
            f"a skewed distribution up to length {longest} has no short lengths; it needs {SHORT_PART * first} or more"
        )


def lengths_at(
    quantiles: Float[Tensor, " n"], distribution: LengthDistribution, *, shortest: int, longest: int, operands: int = 1
) -> Int[Tensor, " n"]:
    """The lengths at given quantiles: uniform numbers in [0, 1) become lengths of that distribution.

    Args:
        quantiles: Numbers in [0, 1), float64.
        distribution: The distribution's name.
        shortest: The shortest length of all.
        longest: The longest.
        operands: How many lengths each example draws, with `uniform` independently; the longest of them is the
            example's length, whose distribution function is that of one, to this power. `skewed` is the law of the
            example's length itself.
    """
    u = quantiles
    if distribution == "uniform":
        return _uniform(u ** (1 / operands) if operands > 1 else u, shortest, longest)
    middle = longest // SHORT_PART
    short = _uniform(u / SHORT_SHARE, _first_skewed(shortest), middle)
    long = _uniform((u - SHORT_SHARE) / (1 - SHORT_SHARE), middle + 1, longest)
    return torch.where(u < SHORT_SHARE, short, long)


def _first_skewed(shortest: int) -> int:
    return max(2, shortest)


def _uniform(u: Tensor, low: int, high: int) -> Tensor:
    return (low + (u * (high - low + 1)).long()).clamp(low, high)
