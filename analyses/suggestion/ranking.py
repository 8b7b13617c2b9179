"""Candidates ranked by each score, from what was measured in every pair and seed."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from analyses.statistics.seeds import t_interval
from analyses.suggestion.prediction import ROUNDING
from analyses.suggestion.scores import BASELINES, MECHANISTIC, RANKINGS, Ranking
from tasks import InvalidValueError
from tasks.errors import unknown_name

RANK_BY: Ranking = "early_accuracy"
"""What candidates are ranked by unless another score is asked for: what did best (docs/results/suggesting.md)."""

ABOUT = ["n", "steps", "length", "transfer_length", "weights"]

RUN_COLUMNS = ["main", "candidate", "seed", *MECHANISTIC, *BASELINES, *ABOUT]
"""The columns of the table with a row per pair and seed."""

COLUMNS = [
    "main", "candidate", "rank", "rank_by",
    *(column for score in RANKINGS for column in (score, f"{score}_low", f"{score}_high", f"{score}_rank")),
    "candidates", "seeds", *ABOUT,
]  # fmt: skip


def suggestion_table(runs: pd.DataFrame, *, rank_by: Ranking = RANK_BY) -> pd.DataFrame:
    """Ranks the candidates, one row each, the first one first.

    A score is its mean over seeds, with the 95 % t interval over seeds (not cut off); with one seed there is none, and
    its ends are missing. Every score is great where a candidate looks like a good auxiliary. Rank 1 is the greatest;
    candidates that tie have the same rank.

    Args:
        runs: A row per candidate and seed (`Suggestion.measure`): main, candidate, seed, the scores, and what is the
            same for all of them: n, steps, length, transfer_length, weights.
        rank_by: The score that decides `rank`, and the order of the rows.

    Returns:
        main, candidate, rank, rank_by; for `combined` (see there) and every score its value, low, high and rank;
        candidates and seeds (their numbers), n, steps, length, transfer_length, weights.

    Raises:
        UnknownNameError: No such score.
        InvalidValueError: Fewer than 2 candidates, a candidate that lacks a seed or has one twice, or a missing score.
    """
    check_ranking(rank_by)
    scored = with_combined(runs)
    rows = [_row(str(candidate), part) for candidate, part in scored.groupby("candidate", sort=False)]
    table = pd.DataFrame(rows).assign(rank_by=rank_by, candidates=len(rows))
    for score in RANKINGS:
        table[f"{score}_rank"] = table[score].round(ROUNDING).rank(method="min", ascending=False).astype("int64")
    table["rank"] = table[f"{rank_by}_rank"]
    ends = {f"{score}_{end}": "Float64" for score in RANKINGS for end in ("low", "high")}
    return table.sort_values("rank", kind="stable", ignore_index=True)[COLUMNS].astype(ends)


def with_combined(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with `combined`: the mean over the mechanistic scores of a candidate's place among those of its seed.

    The place of the candidate with the r-th smallest score of C is (r - 1) / (C - 1): 0 for the smallest, 1 for the
    greatest; ties have their mean place.

    Raises:
        InvalidValueError: As `suggestion_table`.
    """
    check_runs(runs)
    candidates = runs["candidate"].nunique()
    ranks = runs[list(MECHANISTIC)].round(ROUNDING).groupby(runs["seed"]).rank(method="average")
    return runs.assign(combined=((ranks - 1) / (candidates - 1)).mean(axis=1))


def check_runs(runs: pd.DataFrame) -> None:
    """Raises InvalidValueError unless there are candidates to rank, each with every seed once and every score."""
    candidates = runs["candidate"].nunique()
    if candidates < 2:
        raise InvalidValueError(f"{candidates} candidate cannot be ranked; compare 2 or more")
    seeds = sorted(set(runs["seed"]))
    for candidate, part in runs.groupby("candidate", sort=False):
        if sorted(part["seed"]) != seeds:
            raise InvalidValueError(
                f"candidate {candidate!r} has the seeds {_listed(sorted(part['seed']))}, and all together have "
                f"{_listed(seeds)}; every candidate needs each seed once"
            )
    for score in (*MECHANISTIC, *BASELINES):
        missing = runs.loc[runs[score].isna(), "candidate"]
        if len(missing):
            raise InvalidValueError(f"candidate {missing.iloc[0]!r} has no {score}; give every score of every run")


def check_ranking(name: str) -> None:
    """Raises UnknownNameError unless candidates can be ranked by that."""
    if name not in RANKINGS:
        raise unknown_name("score", name, RANKINGS, listing=f"the scores are {', '.join(RANKINGS)}")


def mean_and_interval(name: str, values: Float[np.ndarray, " seed"]) -> dict[str, float]:
    """A mean over seeds, and the ends of its 95 % t interval, missing with one seed."""
    low, high = t_interval(values.tolist())
    return {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}


def _row(candidate: str, part: pd.DataFrame) -> dict[str, object]:
    row: dict[str, object] = {"main": part["main"].iloc[0], "candidate": candidate, "seeds": len(part)}
    for score in RANKINGS:
        row |= mean_and_interval(score, part[score].to_numpy(dtype=float))
    return row | {name: part[name].iloc[0] for name in ABOUT}


def _listed(seeds: list[int]) -> str:
    return ", ".join(map(str, seeds))
