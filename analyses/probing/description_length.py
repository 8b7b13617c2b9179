"""How many bits a probe needs to tell labels, block by block: the online code."""

import itertools
import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analyses.probing.fit import Fit

SHARES = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Where blocks end, as shares of the training tokens, rounded up; blocks that would be empty are left out."""


def block_ends(tokens: int) -> list[int]:
    """The number of tokens up to the end of each block."""
    return sorted({math.ceil(share * tokens) for share in SHARES})


def online_bits(
    features: Float[Tensor, "place token d"],
    labels: Int[Tensor, " token"],
    *,
    classes: int,
    fit: Callable[[Tensor, Tensor], Fit],
) -> tuple[Float[Tensor, " place"], Float[Tensor, " place"]]:
    """The length of the online code of the labels, given the features, and the share of fits that converged.

    The first block is coded at log2(classes) bits a token. Each later one by the probe that is trained on all tokens
    before it, t of them, mixed with the uniform code so that a class not seen yet has a price too:

        bits of a token = -log2((t p(label) + 1 / classes) / (t + 1))

    Source: Voita and Titov 2020 (arXiv 2003.12298), section 2.2 (online code, and the blocks).

    Args:
        features: What the probes of each place read.
        labels: The labels, the same for all places.
        classes: How many classes there are.
        fit: Trains probes on some tokens.

    Returns:
        Bits in all, and the share of converged fits, both in float64.
    """
    ends = block_ends(len(labels))
    bits = torch.full((len(features),), ends[0] * math.log2(classes), dtype=torch.float64, device=features.device)
    converged = torch.zeros_like(bits)
    for known, end in itertools.pairwise(ends):
        probe = fit(features[:, :known], labels[:known])
        logs = probe.logits(features[:, known:end]).double().log_softmax(dim=2)
        own = logs.gather(2, labels[known:end].expand(len(features), -1)[..., None])[..., 0].exp()
        bits -= ((known * own + 1 / classes) / (known + 1)).log2().sum(dim=1)
        converged += probe.converged
    return bits, converged / max(1, len(ends) - 1)
