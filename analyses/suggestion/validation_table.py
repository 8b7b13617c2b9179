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
from analyses.suggestion.prediction import ROUNDING, Prediction, firsts
from analyses.suggestion.ranking import RUN_COLUMNS, mean_and_interval, with_combined
from analyses.suggestion.scores import BASELINES, RANKINGS
from tasks import InvalidValueError

GAINED_COLUMNS = [*RUN_COLUMNS, "accuracy", "alone", "gain", "whole_steps"]
"""The columns of the table with a row per pair and seed, when all is trained to the end."""

COLUMNS = [
    "main", "score", "kind", "evidence", "spearman", "low", "high", "p", "q", "family", "correction", "null",
    "permutations", "smallest_p", "bootstraps", "spearman_same_seed", "spearman_of_means", "oracle_spearman", "choice",
    "choice_gain", "best", "best_gain", "regret", "regret_low", "regret_high", "oracle_regret", "random_regret",
    "candidates", "seeds", "n", "steps", "whole_steps", "length", "transfer_length", "weights",
]  # fmt: skip

GAIN_COLUMNS = ["candidate", "accuracy", "alone", "gain", "gain_low", "gain_high"]

_ABOUT = ("main", "n", "steps", "whole_steps", "length", "transfer_length", "weights")

_MAYBE_MISSING = ("low", "high", "oracle_spearman", "regret_low", "regret_high", "oracle_regret")

FEWEST = 3
"""Candidates: the order of two is right by chance every other time."""

EXACT = 8
"""With at most so many candidates all their permutations are counted."""


def validation_table(
    runs: pd.DataFrame, *, bootstraps: int = 2_000, permutations: int = 10_000, generator: Generator
) -> pd.DataFrame:
    """Compares each score with the transfer gain over candidates, one row per score.

    Each seed in turn is left out: its gains are compared with the score's mean over the other seeds, so that no run
    gives both; then the mean over the seeds that were left out is taken. With one seed there are no others, and score
    and gain are of the same run. Candidates are the units.

        evidence           `other seeds`; with one seed `same seed`
        spearman           Spearman's correlation of score and gain over candidates, mean over seeds; 0 in a seed in
                           which all have one score or one gain
        low, high          95 % percentile interval: candidates drawn with replacement; missing with fewer than 6
        p                  one-sided: how often the candidates' gains in another order, the same in all seeds, agree
                           with the scores as well, (b + 1) / (m + 1). Up to 8 candidates: all m = C! - 1 other orders
        q                  Benjamini-Hochberg over the scores
        spearman_same_seed a seed's score and gain, mean over seeds: in how far runs foretell their own end
        spearman_of_means  score and gain, both means over all seeds, so of the same runs too
        oracle_spearman    that of a score that is the gain itself, in the other seeds; missing with one seed
        best_gain          greatest gain of a seed, mean over seeds
        choice_gain        gain of the score's first choice (the mean of all first ones if they tie), mean over seeds
        regret             best_gain less choice_gain; regret_low, regret_high: `Prediction.regret_interval`
        oracle_regret      that of the oracle; above 0, since the greatest of noisy gains is great by luck too
        random_regret      best_gain less the mean gain: what choosing at random costs

    Args:
        runs: A row per candidate and seed (`SuggestionValidation.measure`): what `suggestion_table` takes, and
            accuracy, alone (that of the main task alone), gain, whole_steps.
        bootstraps: Samples of the candidates, and of the seeds.
        permutations: Orders that are drawn where not all are counted.
        generator: Draws them.

    Returns:
        main, score, kind, evidence, what stands above and what it is from (`COLUMNS`); `choice` and `best` name the
        candidates with the greatest score and gain, both means over all seeds.

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
    count, seeds = scored["candidate"].nunique(), scored["seed"].nunique()
    orders = _orders(count, draws=permutations, generator=generator)
    drawn = torch.randint(count, (bootstraps, count), generator=generator, device=generator.device).cpu().numpy()
    rows = [_predicted(scored, score, orders=orders, drawn=drawn, generator=generator) for score in RANKINGS]
    about = {name: runs[name].iloc[0] for name in _ABOUT} | _null(count, len(orders))
    about |= {"bootstraps": bootstraps, "candidates": count, "seeds": seeds}
    about["evidence"] = "same seed" if seeds == 1 else "other seeds"
    table = pd.DataFrame([{"score": score, **row, **about} for score, row in zip(RANKINGS, rows, strict=True)])
    table["kind"] = ["baseline" if score in BASELINES else "mechanistic" for score in RANKINGS]
    return benjamini_hochberg(table)[COLUMNS].astype(dict.fromkeys(_MAYBE_MISSING, "Float64"))


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
    scored: pd.DataFrame,
    score: str,
    *,
    orders: Int[np.ndarray, "order candidate"],
    drawn: Int[np.ndarray, "draw candidate"],
    generator: Generator,
) -> dict[str, object]:
    """What a score says of the gains."""
    wide = {name: scored.pivot(index="seed", columns="candidate", values=name) for name in (score, "gain")}
    scores, gains = (wide[name].to_numpy(dtype=float) for name in (score, "gain"))
    told, oracle = Prediction(scores, gains), Prediction(gains, gains)
    names = wide["gain"].columns
    means = [values.mean(axis=0).round(ROUNDING) for values in (scores, gains)]
    low, high = told.interval(drawn)
    regret_low, regret_high = told.regret_interval(draws=len(drawn), generator=generator)
    known = len(gains) > 1  # with one seed the oracle would know what it is to foretell
    return {
        "spearman": told.spearman,
        "low": low,
        "high": high,
        "p": told.p(orders),
        "spearman_same_seed": float(np.mean(spearman(scores.round(ROUNDING), told.gained))),
        "spearman_of_means": float(spearman(*means)),
        "oracle_spearman": oracle.spearman if known else None,
        "choice": ", ".join(names[firsts(means[0])]),
        "choice_gain": told.chosen,
        "best": ", ".join(names[firsts(means[1])]),
        "best_gain": told.greatest,
        "regret": told.regret,
        "regret_low": regret_low,
        "regret_high": regret_high,
        "oracle_regret": oracle.regret if known else None,
        "random_regret": told.greatest - float(gains.mean()),
    }


def _null(count: int, orders: int) -> dict[str, object]:
    """What p is from."""
    if count <= EXACT:
        return {"null": "all orders", "permutations": math.factorial(count), "smallest_p": 1 / math.factorial(count)}
    return {"null": "random orders", "permutations": orders, "smallest_p": 1 / (orders + 1)}


def _orders(count: int, *, draws: int, generator: Generator) -> Int[np.ndarray, "order candidate"]:
    """All orders but the one that is there, where there are few enough; else random ones."""
    if count <= EXACT:
        return np.array(list(itertools.permutations(range(count))))[1:]
    return (
        torch.rand(draws, count, generator=generator, device=generator.device, dtype=torch.float64)
        .argsort(dim=1)
        .cpu()
        .numpy()
    )
