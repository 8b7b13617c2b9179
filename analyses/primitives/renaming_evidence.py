"""Whether heads look where a primitive reads from, against the sources that renamings of the task's tokens give."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analyses.primitives.primitive import Uses
from analyses.primitives.renaming import NO_CONTENT, Renaming

_DRAWN = 2**22
"""So many numbers are handled at a time."""


def renaming_p(looked: Float[Tensor, "use look key"], uses: Uses, renaming: Renaming) -> Float[np.ndarray, " look"]:
    """(b + 1) / (m + 1): in b of the m renamings the sources are hit at least as much.

    What is compared is the mean hit of the uses that have sources under the renaming; if none has, the draw counts as
    one of the b. Of several groups, that of all together, then of each: the greatest p of them.

    Args:
        looked: How much each use looks at each key, in several ways.
        uses: The primitive's uses.
        renaming: Its renamings.
    """
    examples, queries = uses.applies.nonzero().T
    weights = uses.weights[uses.applies]
    table = _by_content(looked, weights, renaming, (examples, queries))
    width = table.shape[0] // int(renaming.case.max() + 1)
    sums = torch.stack([_sums(table, chosen, width=width) for chosen in renaming.chosen])
    present = sums[0, :, -1:]
    nulls = torch.where(present > 0, sums[..., :-1] / present.clamp(min=1e-300), torch.inf)
    sources = torch.stack([group[examples, queries] for group in (*uses.groups, uses.source)]).double()
    observed = torch.einsum("ulk,guk,u->gl", looked, sources, weights)
    nulls = torch.cat((nulls, nulls.sum(dim=0, keepdim=True)))
    above = (nulls >= observed[:, None] - 1e-9).sum(dim=1).amax(dim=0)
    return ((above + 1) / (nulls.shape[1] + 1)).cpu().numpy()


def _by_content(
    looked: Tensor, weights: Tensor, renaming: Renaming, places: tuple[Tensor, Tensor]
) -> Float[Tensor, "row column"]:
    """For every case and content: what is looked at it, in every way, and (last) the weight of the uses that see it."""
    examples, queries = places
    seen = torch.arange(looked.shape[-1], device=looked.device) <= queries[:, None]
    content = renaming.content[examples]
    allowed = (renaming.allowed[examples, queries] & seen & (content >= 0)).double()
    content = content.clamp(min=0)
    width = 1 + max(int(content.max()), int(renaming.chosen.max()))
    cases = int(renaming.case.max()) + 1
    present = torch.zeros(len(looked), width, dtype=torch.float64, device=looked.device)
    present.scatter_reduce_(1, content, allowed, reduce="amax")
    table = torch.zeros(cases * width, looked.shape[1] + 1, dtype=torch.float64, device=looked.device)
    weighted = (looked * (allowed * weights[:, None])[:, None]).transpose(1, 2).flatten(0, 1)
    table[:, :-1].index_add_(0, (renaming.case[:, None] * width + content).flatten(), weighted)
    table[:, -1].view(cases, width).index_add_(0, renaming.case, present * weights[:, None])
    return table


def _sums(table: Tensor, chosen: Int[Tensor, "draw case"], *, width: int) -> Float[Tensor, "draw column"]:
    """The table's rows of what is read in each draw, added up over the cases."""
    cases = table.shape[0] // width
    table = torch.nn.functional.pad(table, (0, 0, 0, 1))  # the last row is for what has no source
    begins = torch.arange(cases, device=table.device) * width
    parts: list[Tensor] = []
    for part in chosen[:, :cases].split(max(1, _DRAWN // cases)):
        rows = torch.where(part == NO_CONTENT, len(table) - 1, part + begins)
        parts.append(torch.nn.functional.embedding_bag(rows, table, mode="sum"))
    return torch.cat(parts)
