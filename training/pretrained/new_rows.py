"""Rows for tokens that a checkpoint's embedding does not have."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor


def extended(
    rows: Float[Tensor, "token d_model"], count: int, *, generator: Generator, noise: float = 0.1
) -> Float[Tensor, "new d_model"]:
    """New rows near the mean of all rows: m + noise * e, where e has the rows' own covariance.

    e = (1 / sqrt(n)) sum over the n rows of g_i (row_i - m), with g_i standard normal, whose covariance is exactly that
    of the rows; the default noise is a tenth of their spread. At the mean a new token gets no more than an average
    logit, whatever the context (Hewitt 2021, "Initializing new word embeddings"); the noise makes new tokens differ.

    Args:
        rows: The rows that are there; the mean is computed in float32 at least.
        count: How many are wanted.
        generator: Draws the noise.
        noise: Its size, as a share of the rows' own spread.
    """
    exact = rows.to(torch.promote_types(rows.dtype, torch.float32))
    mean = exact.mean(dim=0)
    weights = torch.randn(count, len(rows), generator=generator, dtype=torch.float32).to(exact)
    spread = (weights @ exact - weights.sum(dim=1, keepdim=True) * mean) / len(rows) ** 0.5
    return (mean + noise * spread).to(rows.dtype)
