"""Standard errors of means and of their ratios, from values per example."""

import torch
from jaxtyping import Float
from torch import Tensor


def standard_errors(values: Float[Tensor, "*set batch"]) -> Float[Tensor, "*set"]:
    """Standard error of the mean over examples: standard deviation (n - 1) / sqrt(n); missing for one example."""
    n = values.shape[-1]
    if n < 2:
        return torch.full(values.shape[:-1], torch.nan, dtype=torch.float64)
    return values.double().std(dim=-1, correction=1) / n**0.5


def ratio_of_means(
    above: Float[Tensor, "*set batch"], below: Float[Tensor, " batch"]
) -> tuple[Float[Tensor, "*set"], Float[Tensor, "*set"]]:
    """mean(above) / mean(below) over the same examples, and its standard error by the delta method.

    The error is that of mean(above - ratio * below) / mean(below): both vary together over examples. Where the mean
    below is 0 there is no ratio, and both are missing.
    """
    mean = below.double().mean()
    if mean == 0:
        missing = torch.full(above.shape[:-1], torch.nan, dtype=torch.float64)
        return missing, missing.clone()
    ratio = above.double().mean(dim=-1) / mean
    residuals = above.double() - ratio[..., None] * below.double()
    return ratio, standard_errors(residuals) / mean.abs()
