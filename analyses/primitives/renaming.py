"""What a primitive would read if the tokens of its task were renamed."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from analyses.primitives.anatomy import NO_VALUE

NO_CONTENT = -1
"""In the place of the content that is read, where a renaming leaves a use without sources."""

_DRAWN = 2**22
"""So many numbers are handled at a time."""


@dataclass(frozen=True)
class Renaming:
    """What a primitive would read if the task's tokens had each other's parts, in draws that all examples share.

    Attributes:
        content: What makes a key a source or not: its token, the value of its number, the token before it.
        allowed: True at keys that may be sources of a query.
        case: The case of each use. All uses of a case read the same content in a draw.
        chosen: The content that is read, for each group of sources; `NO_CONTENT` where a draw leaves no source.
    """

    content: Int[Tensor, "batch key"]
    allowed: Bool[Tensor, "batch query key"]
    case: Int[Tensor, " use"]
    chosen: Int[Tensor, "group draw case"]

    @classmethod
    def of_equal(
        cls,
        asked: Int[Tensor, "batch query"],
        content: Int[Tensor, "batch key"],
        allowed: Bool[Tensor, "batch query key"],
        *,
        applies: Bool[Tensor, "batch query"],
        maps: Int[Tensor, "draw vocab"],
    ) -> "Renaming":
        """A key is read if its content equals the query's token: after a renaming, if it equals the renamed one."""
        return cls(content, allowed, asked[applies], maps[None].to(asked.device))


def next_ranked(
    ranks: Int[Tensor, "draw value"], values: Int[Tensor, "use key"], *, above: Int[Tensor, "draw use"]
) -> Int[Tensor, "draw use"]:
    """Of the values of each use, the one with the least rank above a given rank; `NO_CONTENT` if there is none."""
    none, found = ranks.shape[1], []
    padded = torch.nn.functional.pad(ranks, (0, 1), value=-1).short()  # of no number, which is above no rank
    values = torch.where(values == NO_VALUE, none, values)
    for part, least, order in zip(
        *(one.split(max(1, _DRAWN // max(1, values.numel()))) for one in (padded, above, ranks.argsort(dim=1))),
        strict=True,
    ):
        keys = part[:, values.flatten()].view(len(part), *values.shape)
        first = torch.where(keys > least[..., None], keys, none).amin(dim=-1).long()
        found.append(torch.nn.functional.pad(order, (0, 1), value=NO_CONTENT).gather(1, first))
    return torch.cat(found)
