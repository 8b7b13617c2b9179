"""Rotary position embedding (Su et al. 2021), in the half-split layout of Llama and TransformerLens."""

import math
from functools import lru_cache

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from training.config import RotaryScaling

UNSCALED = RotaryScaling()
"""Frequencies as they are."""


def rotary_tables(
    positions: Int[Tensor, " pos"], *, d_head: int, base: float, like: Tensor, scaling: RotaryScaling = UNSCALED
) -> tuple[Float[Tensor, "pos half"], Float[Tensor, "pos half"]]:
    """Cosine and sine of every position's rotation angles.

    Position p turns the pair (x[i], x[i + d_head/2]) by the angle p * base^(-2i / d_head), so a query and a key meet at
    an angle that depends on their distance only, at any length. Scaling changes the frequencies (`frequencies`).

    Args:
        positions: Positions counted from the start of the sequence.
        d_head: Width of a head, even.
        base: The base of the frequencies.
        like: Gives the device and the type; angles are computed in float64 first, since float32 loses them far out.
        scaling: How the frequencies are changed; with `yarn` cosines and sines are multiplied by a number, too.
    """
    angles = positions.to(like.device, torch.float64)[:, None] * frequencies(d_head, base, scaling).to(like.device)
    return (angles.cos() * scaling.attention).to(like.dtype), (angles.sin() * scaling.attention).to(like.dtype)


def frequencies(d_head: int, base: float, scaling: RotaryScaling) -> Float[Tensor, " half"]:
    """How far each pair of components turns from one position to the next, in radians (float64).

    Without scaling base^(-2i / d_head) for pair i; see `RotaryScaling` for what each kind makes of it.
    """
    plain = base ** -(torch.arange(0, d_head, 2, dtype=torch.float64) / d_head)
    if scaling.kind == "none":
        return plain
    kept = _kept(plain, base, scaling)
    return kept * plain + (1 - kept) * plain / scaling.factor


def _kept(plain: Float[Tensor, " half"], base: float, scaling: RotaryScaling) -> Float[Tensor, " half"]:
    """The share of each frequency that scaling leaves as it is; the rest is divided by the factor."""
    if scaling.kind == "linear":
        return torch.zeros_like(plain)
    if scaling.kind == "llama3":
        turns = scaling.original * plain / (2 * math.pi)
        return ((turns - scaling.low) / (scaling.high - scaling.low)).clamp(0, 1)
    first, last = (_number(turns, len(plain), base, scaling) for turns in (scaling.fast, scaling.slow))
    if scaling.ramp == "rounded":
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, 2 * len(plain) - 1)
    last = last + 0.001 if first == last else last  # as the checkpoints' own code keeps from dividing by zero
    return 1 - ((torch.arange(len(plain), dtype=torch.float64) - first) / (last - first)).clamp(0, 1)


def _number(turns: float, half: int, base: float, scaling: RotaryScaling) -> float:
    """The number, counted on from 0, of the frequency that turns so many times within the original length."""
    return half * math.log(scaling.original / (turns * 2 * math.pi)) / math.log(base)


@lru_cache(maxsize=256)
def cached_tables(
    start: int,
    stop: int,
    d_head: int,
    base: float,
    device: torch.device,
    dtype: torch.dtype,
    scaling: RotaryScaling = UNSCALED,
) -> tuple[Float[Tensor, "pos half"], Float[Tensor, "pos half"]]:
    """The tables of positions start..stop - 1, which all layers and the batches of equal length share."""
    with torch.inference_mode(mode=False):  # made during inference, they must serve training too
        like = torch.empty(0, device=device, dtype=dtype)
        return rotary_tables(torch.arange(start, stop), d_head=d_head, base=base, like=like, scaling=scaling)


@lru_cache(maxsize=256)
def cached_turns(
    start: int,
    stop: int,
    d_head: int,
    base: float,
    device: torch.device,
    dtype: torch.dtype,
    scaling: RotaryScaling = UNSCALED,
) -> Complex[Tensor, "pos 1 half"]:
    """The same angles as complex numbers, of length 1 unless scaled, for `turn`."""
    with torch.inference_mode(mode=False):
        cos, sin = cached_tables(start, stop, d_head, base, device, torch.promote_types(dtype, torch.float32), scaling)
        return torch.complex(cos, sin)[:, None]


def turn(
    x: Float[Tensor, "batch pos head d_head"],
    turns: Complex[Tensor, "*batch pos 1 half"] | Float[Tensor, "*batch pos 1 half 2"],
) -> Float[Tensor, "batch pos head d_head"]:
    """What `rotate` does, in one pass, for components in the order of `adjacent`.

    Turns are complex [half], or their real and imaginary parts [half, 2], which a compiler can fuse with other work.
    """
    if turns.is_complex():
        pairs = x.to(turns.real.dtype).unflatten(-1, (-1, 2))
        return torch.view_as_real(torch.view_as_complex(pairs) * turns).flatten(-2).to(x.dtype)
    (first, second), (cos, sin) = x.to(turns.dtype).unflatten(-1, (-1, 2)).unbind(-1), turns.unbind(-1)
    turned = (first * cos - second * sin, second * cos + first * sin)
    return torch.stack(turned, dim=-1).flatten(-2).to(x.dtype)


def adjacent(x: Float[Tensor, "*any d_head"]) -> Float[Tensor, "*any d_head"]:
    """Reorders components so that each pair that turns together stands side by side: 0, d_head/2, 1, d_head/2 + 1, ...

    A product of a query and a key does not change if both are reordered.
    """
    return x.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)


def apart(x: Float[Tensor, "*any d_head"]) -> Float[Tensor, "*any d_head"]:
    """Undoes `adjacent`."""
    return x.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)


def rotate(
    x: Float[Tensor, "batch pos head d_head"], tables: tuple[Float[Tensor, "pos half"], Float[Tensor, "pos half"]]
) -> Float[Tensor, "batch pos head d_head"]:
    """Turns every head's vector by its position's angles."""
    cos, sin = tables[0][:, None], tables[1][:, None]  # [pos, 1, half]
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
