"""Whether heads look where a primitive reads from, against sources exchanged for other positions."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from analyses.primitives.primitive import Uses
from analyses.primitives.renaming import Renaming
from analyses.primitives.renaming_evidence import renaming_p

TIED = 1e-6
"""Attention weights that differ by less differ by rounding."""

_DRAWN = 2**22
"""So many random numbers are drawn at a time."""


@dataclass(frozen=True)
class AttentionEvidence:
    """Where each head of a layer looks at a primitive's positions.

    Attributes:
        share: Share of uses whose strongest attention is a source. Positions that are equally strong share the use.
        mass: Mean attention on the sources; of several groups the least, times their number.
        share_error: Standard error of the share, over examples.
        mass_error: That of the mass.
        chance: What the share would be for a head that looks at one seen position at random.
        p: The greatest of the p-values of share and mass, over both nulls.
    """

    share: Float[np.ndarray, " head"]
    mass: Float[np.ndarray, " head"]
    share_error: Float[np.ndarray, " head"]
    mass_error: Float[np.ndarray, " head"]
    chance: float
    p: Float[np.ndarray, " head"]


def attention_evidence(
    pattern: Float[Tensor, "batch head query key"],
    uses: Uses,
    *,
    orders: Int[Tensor, "draw query key"],
    renaming: Renaming | None = None,
) -> AttentionEvidence:
    """Share and mass, with p = (b + 1) / (m + 1) over exchanges of the key positions and over renamings of the tokens.

    An exchange permutes the keys that a query sees, in the same way for every example, so that a head whose attention
    hangs on the position alone hits a source that hangs on the position alone as often as chance has it. Shuffles that
    differed from example to example would count each example as new evidence of one and the same coincidence.

    A renaming gives the tokens other parts, also the same in every example, so that a head whose attention hangs on the
    tokens hits what the renamed primitive would read as often as chance has it. A head must beat both nulls: p is the
    greater one. Where the sources hang on positions alone, no renaming changes them, and the exchanges are all.

    Args:
        pattern: The heads' patterns.
        uses: The primitive's uses.
        orders: The exchanges, as `exchanges` draws them.
        renaming: The primitive's sources under renamings, if they hang on tokens (`Primitive.renaming`).
    """
    queries = uses.applies.any(dim=0).nonzero()[:, 0]
    orders, count = orders[:, queries].to(pattern.device), len(uses.groups)
    seen = torch.arange(pattern.shape[-1], device=pattern.device) <= queries[:, None]
    rows: list[tuple[float, ...]] = []
    for head in range(pattern.shape[1]):
        looked = pattern[:, head, queries].double()
        share = _hits(strongest(looked, seen), uses.source, uses, queries, orders)
        masses = [_hits(looked, group, uses, queries, orders) for group in uses.groups]
        mass, error, _ = min(masses)
        rows.append((share[0], mass * count, share[1], error * count, max(p for *_, p in (share, *masses))))
    share, mass, share_error, mass_error, p = np.array(rows).T
    if renaming is not None:
        p = np.maximum(p, _renamed(pattern, uses, renaming))
    found = (uses.source[:, queries].sum(dim=-1) / seen.sum(dim=-1) * uses.weights[:, queries]).sum().item()
    return AttentionEvidence(share, mass, share_error, mass_error, found, p)


def _renamed(
    pattern: Float[Tensor, "batch head query key"], uses: Uses, renaming: Renaming
) -> Float[np.ndarray, " head"]:
    """The greater p of share and mass, over the renamings."""
    examples, queries = uses.applies.nonzero().T
    looked = pattern[examples, :, queries].double()
    seen = torch.arange(pattern.shape[-1], device=pattern.device) <= queries[:, None]
    both = torch.cat((strongest(looked, seen[:, None]), looked), dim=1)
    return renaming_p(both, uses, renaming).reshape(2, -1).max(axis=0)


def _hits(
    looked: Float[Tensor, "batch query key"],
    source: Tensor,
    uses: Uses,
    queries: Tensor,
    orders: Int[Tensor, "draw query key"],
) -> tuple[float, float, float]:
    """How much of what is looked at is a source, its standard error, and p."""
    source, used = source[:, queries].double(), uses.weights[:, queries]
    hits = (looked * source).sum(dim=-1)
    observed = (used * hits).sum()
    joint = torch.einsum("bqk,bqs->qks", used[..., None] * looked, source)
    error = _error((uses.within[:, queries] * hits).sum(dim=1)[uses.examples])
    return observed.item(), error, _tail(joint, orders, observed)


def strongest(looked: Float[Tensor, "batch query key"], seen: Tensor) -> Float[Tensor, "batch query key"]:
    """1 at the key with the strongest attention; divided evenly between keys that are equally strong."""
    looked = looked.masked_fill(~seen, -1)
    top = (looked >= looked.amax(dim=-1, keepdim=True) - TIED).double()
    return top / top.sum(dim=-1, keepdim=True)


def exchanges(width: int, *, draws: int, generator: Generator) -> Int[Tensor, "draw query key"]:
    """Random orders of the keys that each query sees; the others keep their places."""
    keys = torch.arange(width, device=generator.device)
    unseen = (keys[:, None] < keys).double() * (1 + keys)
    rows = max(1, _DRAWN // width**2)
    parts: list[Tensor] = []
    for first in range(0, draws, rows):
        shape = (min(rows, draws - first), width, width)
        drawn = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
        parts.append(torch.where(unseen > 0, unseen, drawn).argsort(dim=-1).to(torch.int16))
    return torch.cat(parts)


def _tail(joint: Float[Tensor, "query key source"], orders: Int[Tensor, "draw query key"], observed: Tensor) -> float:
    """(b + 1) / (m + 1): in b of the m exchanges the sources are hit at least as much."""
    rows, above = max(1, _DRAWN // max(1, orders[0].numel())), 0
    width = joint.shape[-1]
    flat, begins = joint.flatten(), torch.arange(joint[..., 0].numel(), device=joint.device) * width
    for part in orders.split(rows):
        exchanged = flat[part.flatten(1).long() + begins]
        above += int((exchanged.sum(dim=1) >= observed - 1e-9).sum())
    return (above + 1) / (len(orders) + 1)


def _error(values: Float[Tensor, " example"]) -> float:
    return (values.std(correction=1) / len(values) ** 0.5).item() if len(values) > 1 else float("nan")
