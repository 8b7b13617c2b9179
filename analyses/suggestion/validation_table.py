"""How well each cheap score predicted the gain from an auxiliary, over candidates."""

import itertools
import math

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Generator

from analyses.reuse.similarity import spearman
from analyses.statistics.correction import benjamini_hochberg
from analyses.statistics.errors import percentile_interval
from analyses.statistics.resampling import one_sided_p
from analyses.suggestion.ranking import ROUNDING, RUN_COLUMNS, mean_and_interval, with_combined
from analyses.suggestion.scores import BASELINES, RANKINGS
from tasks import InvalidValueError

GAINED_COLUMNS = [*RUN_COLUMNS, "accuracy", "alone", "gain", "whole_steps"]
"""The columns of the table with a row per pair and seed, when all is trained to the end."""

COLUMNS = [
    "main", "score", "kind", "spearman", "low", "high", "p", "q", "family", "correction", "null", "permutations",
    "smallest_p", "bootstraps", "spearman_by_seed", "choice", "choice_gain", "best", "best_gain", "regret",
    "random_regret", "candidates", "seeds", "n", "steps", "whole_steps", "length", "transfer_length", "weights",
]  # fmt: skip

GAIN_COLUMNS = ["candidate", "accuracy", "alone", "gain", "gain_low", "gain_high"]

_ABOUT = ("main", "n", "steps", "whole_steps", "length", "transfer_length", "weights")

FEWEST = 3
"""Candidates: the order of two is right by chance every other time."""

EXACT = 8
"""With at most so many candidates all their permutations are counted."""


def validation_table(
    runs: pd.DataFrame, *, bootstraps: int = 2_000, permutations: int = 10_000, generator: Generator
) -> pd.DataFrame:
    """Compares each score with the transfer gain over candidates, one row per score.

    Scores and gains are means over seeds first; candidates are the units.

        spearman          Spearman's correlation of score and gain over candidates; 0 if all have one score or one gain
        low, high         95 % percentile interval: candidates drawn with replacement
        p                 one-sided: how often the candidates' gains in another order agree with the score as well,
                          (b + 1) / (m + 1). Up to 8 candidates: all m = C! - 1 other orders, so exact
        q                 Benjamini-Hochberg over the scores
        spearman_by_seed  the correlation within a seed, mean over seeds: what one seed's evidence is worth
        regret            greatest gain, less that of the score's first choice (the mean of all first ones if they tie)
        random_regret     greatest gain less the mean gain: what choosing at random costs

    Args:
        runs: A row per candidate and seed (`SuggestionValidation.measure`): what `suggestion_table` takes, and
            accuracy, alone (that of the main task alone), gain, whole_steps.
        bootstraps: Bootstrap samples of the candidates.
        permutations: Orders that are drawn where not all are counted.
        generator: Draws them.

    Raises:
        InvalidValueError: Fewer than 3 candidates, a candidate that lacks a seed or has one twice, a missing score or
            gain, fewer than 2 bootstrap samples, or no permutation.
    """
    check_draws(bootstraps, permutations)
    check_candidates(runs["candidate"].nunique())
    if runs["gain"].isna().any():
        raise InvalidValueError(
            f"candidate {runs.loc[runs['gain'].isna(), 'candidate'].iloc[0]!r} has no gain; train it"
        )
    scored = with_combined(runs)
    means = scored.groupby("candidate", sort=False)[[*RANKINGS, "gain"]].mean().round(ROUNDING)
    count = len(means)
    orders = _orders(count, draws=permutations, generator=generator)
    drawn = torch.randint(count, (bootstraps, count), generator=generator).numpy()
    about = {name: runs[name].iloc[0] for name in _ABOUT}
    about |= {
        "bootstraps": bootstraps,
        "candidates": count,
        "seeds": runs["seed"].nunique(),
        **_null(count, len(orders)),
    }
    rows = [
        {
            "score": score,
            **_predicted(means, score, orders, drawn),
            "spearman_by_seed": _by_seed(scored, score),
            **about,
        }
        for score in RANKINGS
    ]
    table = pd.DataFrame(rows)
    table["kind"] = ["baseline" if score in BASELINES else "mechanistic" for score in RANKINGS]
    return benjamini_hochberg(table)[COLUMNS]


def gains_table(runs: pd.DataFrame) -> pd.DataFrame:
    """What each candidate gained, the greatest gain first: a row per candidate.

    Columns: candidate, accuracy and alone (exact match of the main task at the transfer length with the candidate and
    alone, means over seeds), gain, gain_low, gain_high (95 % t interval over seeds, not cut off; missing with one).
    """
    rows = []
    for candidate, part in runs.groupby("candidate", sort=False):
        means = {name: float(part[name].mean()) for name in ("accuracy", "alone")}
        rows.append({"candidate": candidate, **means, **mean_and_interval("gain", part["gain"].to_numpy(dtype=float))})
    table = pd.DataFrame(rows, columns=GAIN_COLUMNS).astype({"gain_low": "Float64", "gain_high": "Float64"})
    return table.sort_values("gain", ascending=False, kind="stable", ignore_index=True)


def check_candidates(count: int) -> None:
    """Raises InvalidValueError if there are too few candidates for a correlation over them."""
    if count < FEWEST:
        raise InvalidValueError(
            f"{count} candidates cannot tell a score that predicts from one that does not; validate with {FEWEST} or "
            "more, better 6"
        )


def check_draws(bootstraps: int, permutations: int) -> None:
    """Raises InvalidValueError unless there are samples enough for an interval and a p-value."""
    if bootstraps < 2 or permutations < 1:
        raise InvalidValueError(
            f"bootstraps = {bootstraps} and permutations = {permutations}; allowed are 2 and 1, or more"
        )


def _predicted(
    means: pd.DataFrame,
    score: str,
    orders: Int[np.ndarray, "order candidate"],
    drawn: Int[np.ndarray, "draw candidate"],
) -> dict[str, object]:
    """What a score says of the gains, both means over seeds."""
    scores, gains = means[score].to_numpy(), means["gain"].to_numpy()
    estimate = float(spearman(scores, gains))
    samples = np.clip(spearman(scores[drawn], gains[drawn]), -1, 1)  # rounding may lead beyond
    low, high = percentile_interval(samples[:, None])
    first, best = scores == scores.max(), gains == gains.max()
    return {
        "spearman": estimate,
        "low": float(low[0]),
        "high": float(high[0]),
        "p": one_sided_p(estimate, np.asarray(spearman(scores, gains[orders])), alike=1),
        "choice": ", ".join(means.index[first]),
        "choice_gain": float(gains[first].mean()),
        "best": ", ".join(means.index[best]),
        "best_gain": float(gains.max()),
        "regret": float(gains.max() - gains[first].mean()),
        "random_regret": float(gains.max() - gains.mean()),
    }


def _null(count: int, orders: int) -> dict[str, object]:
    """What p is from."""
    if count <= EXACT:
        return {"null": "all orders", "permutations": math.factorial(count), "smallest_p": 1 / math.factorial(count)}
    return {"null": "random orders", "permutations": orders, "smallest_p": 1 / (orders + 1)}


def _by_seed(scored: pd.DataFrame, score: str) -> float:
    """The mean over seeds of the correlation within a seed."""
    parts = [part[[score, "gain"]].round(ROUNDING).to_numpy(dtype=float).T for _, part in scored.groupby("seed")]
    return float(np.mean([float(spearman(*part)) for part in parts]))


def _orders(count: int, *, draws: int, generator: Generator) -> Int[np.ndarray, "order candidate"]:
    """All orders but the one that is there, where there are few enough; else random ones."""
    if count <= EXACT:
        return np.array(list(itertools.permutations(range(count))))[1:]
    return torch.rand(draws, count, generator=generator, dtype=torch.float64).argsort(dim=1).numpy()
