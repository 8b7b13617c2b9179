"""How alike two tasks' profiles of attention by distance are, from profiles per example."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from analyses.reuse.similarity import cosine
from analyses.statistics.errors import percentile_interval
from analyses.statistics.resampling import bootstrap_counts, bootstrap_means

Profiles = tuple[Float[Tensor, "batch layer head distance"], Float[Tensor, "batch layer head distance"]]
"""Of each task's examples, the mean attention of every head at each distance."""


def offset_cosines(profiles: Profiles, *, aligned: bool) -> Float[np.ndarray, " heads_and_total"]:
    """The cosine of each head's two mean profiles, layer by layer, and then the mean over heads.

        <p_1, p_2> / sqrt(<p_1, p_1> <p_2, p_2>)

    Each product is the mean over pairs of different examples, i != j, of the products of their profiles. So noise of
    single examples does not count: the cosine of the mean profiles themselves would be too small, the more so the fewer
    examples there are. It is therefore 1 on average for tasks that attend alike, and can come out a little above 1. It
    is 0 where a task's own product is.

    Args:
        profiles: The profiles.
        aligned: Whether example i of both is one prompt; if not, the products between tasks are of all pairs.
    """
    first, second = profiles
    across = _product(first, second) if aligned else (first.mean(dim=0) * second.mean(dim=0)).sum(dim=-1)
    own = _product(first, first) * _product(second, second)
    heads = torch.where(own > 0, across / own.clamp(min=torch.finfo(own.dtype).tiny).sqrt(), 0).flatten()
    return torch.cat((heads, heads.mean()[None])).numpy()


def _product(first: Float[Tensor, "batch *head distance"], second: Float[Tensor, "batch *head distance"]) -> Tensor:
    """The mean product of profiles of different examples. [*head]"""
    n = len(first)
    of_sums = (first.sum(dim=0) * second.sum(dim=0)).sum(dim=-1)
    return ((of_sums - (first * second).sum(dim=(0, -1))) / (n * (n - 1))).clamp(min=0)  # of numbers from 0 on


def bootstrap_offset_cosines(
    profiles: Profiles, *, aligned: bool, bootstraps: int, generator: Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Estimate, standard error and 95 % interval of every `offset_cosines`, by bootstrap over examples.

    The cosine of the mean profiles is taken in every bootstrap sample; examples of one prompt are drawn together. These
    cosines are too small, as the samples hold copies of the same examples, but lie about their mean as the estimate
    lies about the truth. So the interval is their central 95 %, moved by estimate - mean.
    """
    n, layers = len(profiles[0]), range(profiles[0].shape[1])
    counts = [bootstrap_counts(n, draws=bootstraps, generator=generator)]
    counts.append(counts[0] if aligned else bootstrap_counts(n, draws=bootstraps, generator=generator))
    heads = np.concatenate([_drawn(profiles, (counts[0], counts[1]), layer) for layer in layers], axis=1)
    draws = np.hstack((heads, heads.mean(axis=1, keepdims=True)))
    estimate = offset_cosines(profiles, aligned=aligned)
    low, high = percentile_interval(draws - draws.mean(axis=0) + estimate)
    return estimate, draws.std(axis=0, ddof=1), low, high


def _drawn(
    profiles: Profiles, counts: tuple[Int[np.ndarray, "draw batch"], Int[np.ndarray, "draw batch"]], layer: int
) -> Float[np.ndarray, "draw head"]:
    """The cosines of a layer's heads in every bootstrap sample; a layer at a time, as profiles may be long."""
    means = []
    for profile, drawn in zip(profiles, counts, strict=True):
        numbers = profile[:, layer].flatten(1).T.numpy()
        means.append(bootstrap_means(numbers, drawn).reshape(len(drawn), *profile.shape[2:]))
    return np.asarray(cosine(means[0], means[1]))
