"""Whether what finetuning reaches goes with how long a model was pretrained."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Generator

from analyses.statistics.correction import benjamini_hochberg
from analyses.statistics.resampling import seed_of
from analyses.statistics.seeds import t_interval
from tasks import InvalidValueError

FEWEST = 4
"""Checkpoints: 3 have 6 orders, so no p could be below 1/6."""


def pretraining_association(
    table: pd.DataFrame, *, by: Sequence[str], draws: int = 10_000, generator: Generator
) -> pd.DataFrame:
    """Spearman's rank correlation of the pretraining step with a value, over checkpoints, mean over seeds.

    Two nulls, each two-sided, p = (b + 1) / (draws + 1) with b of the draws as far from 0:

        p           the steps permuted alike in all seeds. All seeds start from the same checkpoints, so what makes one
                    checkpoint better by chance makes it better in all of them: only whole checkpoints can be exchanged.
        p_within    the steps permuted in each seed apart. It says whether the finetuned runs differ over checkpoints
                    in that direction more than by the noise of finetuning; it is the smaller of the two.

    One pretraining is one pretraining: neither speaks of another one.

    Args:
        table: A row per seed, checkpoint and whatever `by` tells apart, with columns pretraining_step, seed, value.
        by: Columns, as group, condition, quantity.
        draws: Permutations for each null.
        generator: Draws them.

    Returns:
        A row per combination: spearman, low, high (95 % t interval over seeds, within -1 to 1), p, q, family,
        correction, p_within, draws, checkpoints, seeds, draw_seed. A value that is the same everywhere has a
        correlation of 0.

    Raises:
        InvalidValueError: Fewer than 4 checkpoints, or a seed that lacks one or has one twice.
    """
    seed, rows = seed_of(generator), []
    for point, part in table.groupby(list(by), sort=True, dropna=False):
        if part.duplicated(["seed", "pretraining_step"]).any():
            raise InvalidValueError(f"{_named(by, point)}: a seed has a checkpoint twice; tell its rows apart with by")
        wide = part.pivot(index="seed", columns="pretraining_step", values="value")
        if wide.isna().to_numpy().any() or wide.shape[1] < FEWEST:
            raise InvalidValueError(
                f"{_named(by, point)}: {wide.shape[1]} checkpoints, of which every seed needs a value, and {FEWEST} or "
                "more are needed; finetune the others too"
            )
        values = wide.to_numpy(dtype=float)
        each = _spearman(values, np.arange(values.shape[1])[None, None])[:, 0]
        low, high = np.clip(t_interval(each.tolist()), -1, 1)
        rows.append(
            {
                **dict(zip(by, point, strict=True)), "spearman": each.mean(), "low": low, "high": high,
                "p": _p(values, draws, generator, alike=True), "p_within": _p(values, draws, generator, alike=False),
                "draws": draws, "checkpoints": values.shape[1], "seeds": len(values), "draw_seed": seed,
            }
        )  # fmt: skip
    return benjamini_hochberg(pd.DataFrame(rows))


def _p(values: Float[np.ndarray, "seed step"], draws: int, generator: Generator, *, alike: bool) -> float:
    seeds, steps = values.shape
    keys = torch.rand(draws, 1 if alike else seeds, steps, generator=generator, device=generator.device)
    orders = np.broadcast_to(keys.argsort(dim=2).cpu().numpy(), (draws, seeds, steps))
    observed = _spearman(values, np.arange(steps)[None, None]).mean()
    null = _spearman(values, orders.transpose(1, 0, 2)).mean(axis=0)
    return float(((np.abs(null) >= abs(observed) - 1e-12).sum() + 1) / (draws + 1))


def _spearman(values: Float[np.ndarray, "seed step"], orders: np.ndarray) -> Float[np.ndarray, "seed draw"]:
    """Rank correlation of each seed's values with each order of the steps."""
    ranks = rankdata(values, axis=1)[:, None]
    ranks, orders = ranks - ranks.mean(axis=2, keepdims=True), orders - orders.mean(axis=2, keepdims=True)
    product = (ranks * orders).sum(axis=2)
    norms = np.sqrt((ranks**2).sum(axis=2) * (orders**2).sum(axis=2))
    return np.divide(product, norms, out=np.zeros_like(product), where=norms > 0)


def _named(by: Sequence[str], point: tuple[object, ...]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(by, point, strict=True))
