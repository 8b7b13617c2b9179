"""Tables of scores and gains made by hand."""

from collections.abc import Mapping, Sequence

import pandas as pd

from analyses.suggestion.scores import BASELINES, MECHANISTIC

ABOUT = {"n": 16, "steps": 6, "length": 3, "transfer_length": 4, "weights": "averaged"}


def table_of(
    scores: Mapping[str, Mapping[str, Sequence[float]]], *, gains: Mapping[str, Sequence[float]] | None = None
) -> pd.DataFrame:
    """A row per candidate and seed.

    Args:
        scores: For each candidate, for some scores, their value in each seed; the others are 0.
        gains: For each candidate, its gain in each seed; the main task alone has .25.
    """
    rows = []
    for candidate, given in scores.items():
        for seed in range(len(next(iter(given.values())))):
            values = dict[str, float].fromkeys((*MECHANISTIC, *BASELINES), 0.0)
            values |= {score: several[seed] for score, several in given.items()}
            row = {"main": "shift", "candidate": candidate, "seed": seed, **values, **ABOUT}
            if gains is not None:
                gain = gains[candidate][seed]
                row |= {"accuracy": 0.25 + gain, "alone": 0.25, "gain": gain, "whole_steps": 24}
            rows.append(row)
    return pd.DataFrame(rows)
