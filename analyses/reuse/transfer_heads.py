"""Heads that a task needs only at the lengths it transfers to."""

import pandas as pd

from analyses.reuse.length_effects import LengthEffects, Zone
from analyses.statistics.correction import benjamini_hochberg
from tasks import InvalidValueError

COLUMNS = [
    "task", "layer", "head", "kind", "positions", "metric", "in_range", "in_range_low", "in_range_high", "transfer",
    "transfer_low", "transfer_high", "transfer_p", "transfer_q", "difference", "low", "high", "null", "p", "q",
    "family", "correction", "only", "negligible", "n_in_range", "n_transfer", "seeds", "seed",
]  # fmt: skip

NULL = "Welch's t"
"""What differences are compared with: t of two equal means."""

LEVEL = 0.05
"""The share of false ones among the heads that are called needed at transfer, and needed more there."""

_NEEDED: tuple[Zone, Zone] = ("in_range", "transfer")


def only_at_transfer(found: LengthEffects, *, negligible: float = 0.2) -> pd.DataFrame:
    """Which heads a task needs at the lengths it transfers to, and not in range: a row for every head.

    A head is needed only at transfer if all of these hold:

    1. its effect at transfer is above 0: q < .05 (`transfer_q`: one-sided t test, Benjamini-Hochberg over heads);
    2. it is greater than in range: q < .05 (`q`: one-sided Welch test of the difference, likewise);
    3. what it does in range is negligible: the upper end of its 95 % interval lies below `negligible` times its effect
       at transfer. That a head has no significant effect in range would not do: few examples show that of any head.

    Columns: task, layer, head, kind, positions, metric; in_range and transfer (the effects), each with the ends _low
    and _high of its 95 % t interval; transfer_p, transfer_q; difference (transfer less in_range), its interval low and
    high, null, p and q; family (the heads: of both q), correction; only; negligible, n_in_range, n_transfer (examples),
    seeds (models: 1), seed.

    Args:
        found: The effects at every length.
        negligible: The share of the effect at transfer below which an effect in range counts for nothing.

    Raises:
        InvalidValueError: There are no lengths in range or at transfer; a share that is not in (0, 1).
    """
    absent = [zone for zone in _NEEDED if zone not in found.lengths]
    if absent:
        raise InvalidValueError(
            f"there is no length in zone {absent[0]!r}, so nothing can be needed only at transfer; "
            "measure with a main length below the auxiliary length"
        )
    if not 0 < negligible < 1:
        raise InvalidValueError(f"negligible = {negligible} is no share of an effect; allowed is more than 0, below 1")
    before, transfer = (found.means[zone] for zone in _NEEDED)
    difference = transfer.minus(before)
    (before_low, before_high), (transfer_low, transfer_high) = before.interval(), transfer.interval()
    low, high = difference.interval()
    table = pd.DataFrame(
        {
            **found.about,
            "in_range": before.estimate,
            "in_range_low": before_low,
            "in_range_high": before_high,
            "transfer": transfer.estimate,
            "transfer_low": transfer_low,
            "transfer_high": transfer_high,
            "transfer_p": transfer.p_above(),
            "difference": difference.estimate,
            "low": low,
            "high": high,
            "null": NULL,
            "p": difference.p_above(),
            "negligible": negligible,
            "n_in_range": found.count("in_range"),
            "n_transfer": found.count("transfer"),
        }
    )
    table = benjamini_hochberg(benjamini_hochberg(table), p="transfer_p", q="transfer_q")
    spared = table["in_range_high"] < negligible * table["transfer"]
    return table.assign(only=(table[["q", "transfer_q"]] < LEVEL).all(axis=1) & spared)[COLUMNS]
