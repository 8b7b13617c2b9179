"""Null distributions and intervals: heads shuffled, examples drawn anew."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import hypergeom
from torch import Generator

Null = Literal["free", "within_layer"]


def head_permutations(
    layers: Int[np.ndarray, " heads"], *, draws: int, null: Null, generator: Generator
) -> Int[np.ndarray, "draw heads"]:
    """Random orders of the heads.

    `free` shuffles all heads; `within_layer` only those of the same layer, since heads of different layers are not
    exchangeable: if a layer as a whole matters to both tasks, a free shuffle calls that sharing of heads.
    """
    shape, device = (draws, len(layers)), generator.device
    keys = torch.rand(shape, generator=generator, device=device, dtype=torch.float64).cpu().numpy()
    if null == "free":
        return keys.argsort(axis=1)
    order = np.argsort(layers, kind="stable")
    permuted = np.empty(keys.shape, dtype=np.int64)
    permuted[:, order] = np.argsort(layers + keys, axis=1)
    return permuted


def bootstrap_means(
    effects: Float[np.ndarray, "heads batch"], counts: Int[np.ndarray, "draw batch"]
) -> Float[np.ndarray, "draw heads"]:
    """The map of mean effects in each bootstrap sample, given how often it drew each example."""
    return counts @ effects.T / effects.shape[1]


def bootstrap_counts(n: int, *, draws: int, generator: Generator) -> Int[np.ndarray, "draw batch"]:
    """How often each of n examples is drawn, n draws with replacement, `draws` times over."""
    chosen = torch.randint(n, (draws, n), generator=generator, device=generator.device).cpu()
    counts = torch.zeros(draws, n, dtype=torch.int64)
    return counts.scatter_add_(1, chosen, torch.ones_like(chosen)).numpy()


def one_sided_p(observed: float, null: Float[np.ndarray, " draw"], *, alike: Literal[1, -1]) -> float:
    """(b + 1) / (m + 1): b of the m null values are at least as alike as what was observed.

    A tolerance of 1e-12 counts as equal, so that rounding does not decide ties.
    """
    at_least = (alike * (null - observed) >= -1e-12).sum()
    return float((at_least + 1) / (len(null) + 1))


def hypergeometric(
    shared: int, *, heads: int, k: int, generator: Generator, times: int = 1
) -> tuple[float, Int[np.ndarray, "draw pair"]]:
    """P(as many heads shared in all, or more) if each of `times` pairs of top-k sets is drawn from all heads at random.

    Returns:
        The exact p-value, and how many heads each pair shares in 10,000 draws from that null.
    """
    single = hypergeom.pmf(np.arange(k + 1), heads, k, k)
    probabilities = np.ones(1)
    for _ in range(times):
        probabilities = np.convolve(probabilities, single)
    levels = torch.rand(10_000, times, generator=generator, device=generator.device, dtype=torch.float64).cpu().numpy()
    counts = np.minimum(np.searchsorted(single.cumsum(), levels, side="right"), k)
    return min(1.0, float(probabilities[shared:].sum())), counts


def seed_of(generator: Generator) -> int:
    """The seed that a generator began with, signed: columns of int64 and uint64 joined would become inexact floats."""
    return (generator.initial_seed() + 2**63) % 2**64 - 2**63
