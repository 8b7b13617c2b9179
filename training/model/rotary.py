"""Rotary position embedding (Su et al. 2021), in the half-split layout of Llama and TransformerLens."""

from functools import lru_cache

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor


def rotary_tables(
    positions: Int[Tensor, " pos"], *, d_head: int, base: float, like: Tensor
) -> tuple[Float[Tensor, "pos half"], Float[Tensor, "pos half"]]:
    """Cosine and sine of every position's rotation angles.

    Position p turns the pair (x[i], x[i + d_head/2]) by the angle p * base^(-2i / d_head), so a query and a key meet at
    an angle that depends on their distance only, at any length.

    Args:
        positions: Positions counted from the start of the sequence.
        d_head: Width of a head, even.
        base: The base of the frequencies.
        like: Gives the device and the type; angles are computed in float64 first, since float32 loses them far out.
    """
    half = torch.arange(0, d_head, 2, device=like.device, dtype=torch.float64) / d_head
    angles = positions.to(like.device, torch.float64)[:, None] * base**-half
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


@lru_cache(maxsize=256)
def cached_tables(
    start: int, stop: int, d_head: int, base: float, device: torch.device, dtype: torch.dtype
) -> tuple[Float[Tensor, "pos half"], Float[Tensor, "pos half"]]:
    """The tables of positions start..stop - 1, which all layers and the batches of equal length share."""
    with torch.inference_mode(mode=False):  # made during inference, they must serve training too
        like = torch.empty(0, device=device, dtype=dtype)
        return rotary_tables(torch.arange(start, stop), d_head=d_head, base=base, like=like)


@lru_cache(maxsize=256)
def cached_turns(
    start: int, stop: int, d_head: int, base: float, device: torch.device, dtype: torch.dtype
) -> Complex[Tensor, "pos 1 half"]:
    """The same angles as complex numbers of length 1, for `turn`."""
    with torch.inference_mode(mode=False):
        cos, sin = cached_tables(start, stop, d_head, base, device, torch.promote_types(dtype, torch.float32))
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
