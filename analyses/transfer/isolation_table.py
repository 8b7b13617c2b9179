"""What the auxiliary's alignment is worth beyond training on several tasks: conditions compared over seeds."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from analyses.statistics.correction import benjamini_hochberg
from analyses.statistics.seeds import check_paired_seeds, sign_flip_p, t_interval
from tasks import InvalidValueError

SETTINGS = ("weights", "main_length", "auxiliary_length", "steps", "batch_size", "parameters", "main_examples")
"""What the runs of one condition have in common."""

RUN_COLUMNS = ["main", "condition", "others", "seed", "length", "n", "accuracy", "own_accuracy", "reuse", *SETTINGS]

REUSE_COLUMNS = ["condition", "reuse_null", "reuse_null_mean", "reuse_p", "reuse_permutations"]

COLUMNS = [
    "main", "condition", "others", "seeds", "n", "length", "accuracy", "low", "high", "own_accuracy",
    "gain", "gain_low", "gain_high", "p", "q", "family", "correction", "null", "permutations", "smallest_p", "share",
    "behind", "behind_low", "behind_high", "reuse", "reuse_low", "reuse_high", "reuse_null", "reuse_null_mean",
    "reuse_p", "reuse_q", "reuse_family", "reuse_permutations", *SETTINGS,
]  # fmt: skip

_NONE = {"family": 0, "correction": "", "reuse_null": "", "reuse_family": 0, "reuse_permutations": 0}
"""What stands where nothing is tested."""

_COUNTS = [name for name, none in _NONE.items() if none == 0]

_MISSING = [
    "p", "q", "smallest_p", "reuse", "reuse_low", "reuse_high", "reuse_null_mean", "reuse_p", "reuse_q",
]  # fmt: skip
"""Columns that not every condition has a value in."""


def isolation_table(runs: pd.DataFrame, reuse: pd.DataFrame) -> pd.DataFrame:
    """Compares the conditions of an isolation over seeds, one row per condition.

    With a(c, s) the main task's accuracy at the transfer length in condition c and seed s: gain = mean over seeds of
    a(c, s) - a(alone, s); share = gain / gain of `auxiliary`, 0 where that is not above 0; behind = mean over seeds of
    a(auxiliary, s) - a(c, s). Intervals are 95 % t intervals over seeds, of the paired differences for gain and behind,
    cut off at the ends of what is possible; where all seeds agree they have no width.

    p is exact and one-sided: with no gain, a seed's difference were as likely of the other sign; of the 2^S ways to
    flip the signs of S seeds, p is the share of those with a mean at least as great as what was measured, itself among
    them, which is (b + 1) / (m + 1) with all m = 2^S - 1 others. It is never below 2^-S. q is p after Benjamini and
    Hochberg over the conditions. `alone` is compared with itself, so it has none. reuse_q is the same of reuse_p, over
    the conditions that have reuse.

    Args:
        runs: A row per run (`Isolation.measure`): main, condition, others, seed, length, n, accuracy (at that length),
            own_accuracy (at the main task's longest training length), reuse (missing where only the main task is
            trained), and the settings.
        reuse: A row per condition that has reuse (`Isolation.reuse`): how it stands beside chance.

    Returns:
        main, condition, others (the tasks it is trained with); seeds (their number), n (test examples of each), length;
        accuracy (mean over seeds), low, high, own_accuracy (mean); gain, gain_low, gain_high, p, q, family (conditions
        that are tested), correction, null, permutations (2^S), smallest_p; share; behind, behind_low, behind_high;
        reuse (mean over seeds), reuse_low, reuse_high, reuse_null, reuse_null_mean, reuse_p, reuse_q, reuse_family,
        reuse_permutations; and the settings: weights, main_length, auxiliary_length, steps, batch_size, parameters,
        main_examples.

    Raises:
        InvalidValueError: Fewer than 2 seeds, more than 20, a condition that lacks a seed or has one twice, no `alone`
            or no `auxiliary`, runs of several tasks, lengths or numbers of examples, or of several settings in one
            condition; conditions with reuse that are not those it is compared with chance in.
    """
    _check(runs)
    _check_reuse(runs, reuse)
    of = {str(name): part.set_index("seed").sort_index() for name, part in runs.groupby("condition", sort=False)}
    alone, auxiliary = (of[name]["accuracy"].to_numpy(dtype=float) for name in ("alone", "auxiliary"))
    rows = [_row(condition, part, alone, auxiliary) for condition, part in of.items()]
    table = pd.DataFrame(rows)
    tested = benjamini_hochberg(table[table["condition"] != "alone"])[["condition", "q", "family", "correction"]]
    chance = benjamini_hochberg(reuse, p="reuse_p", q="reuse_q", family="reuse_family").drop(columns="correction")
    for part in (tested, chance):
        table = table.merge(part, on="condition", how="left")
    kinds = {**dict.fromkeys(_MISSING, "Float64"), "auxiliary_length": "Int64"}
    return table.fillna(_NONE).astype({**kinds, **dict.fromkeys(_COUNTS, "int64")})[COLUMNS]


def _row(condition: str, part: pd.DataFrame, alone: np.ndarray, auxiliary: np.ndarray) -> dict[str, Any]:
    """A condition's row, without q and the null of reuse."""
    accuracy, reuse = part["accuracy"].to_numpy(dtype=float), part["reuse"].dropna().to_numpy(dtype=float)
    gains, most, flips = accuracy - alone, float((auxiliary - alone).mean()), 2 ** len(alone)
    tested = condition != "alone"
    gain = float(gains.mean())
    columns = ("main", "others", "n", "length", *SETTINGS)
    return {
        **{name: part[name].iloc[0] for name in columns},
        "condition": condition,
        "seeds": len(part),
        **_mean("accuracy", accuracy, names=("low", "high"), least=0.0),
        "own_accuracy": float(part["own_accuracy"].mean()),
        **_mean("gain", gains),
        "p": sign_flip_p(gains) if tested else pd.NA,
        "null": "sign flips" if tested else "",
        "permutations": flips if tested else 0,
        "smallest_p": 1 / flips if tested else pd.NA,
        "share": gain / most if most > 0 else 0.0,
        **_mean("behind", auxiliary - accuracy),
        **_mean("reuse", reuse if len(reuse) == len(part) else np.array([np.nan])),
    }


def _mean(
    name: str, values: Float[np.ndarray, " seed"], *, names: tuple[str, str] | None = None, least: float = -1.0
) -> dict[str, float]:
    """A mean over seeds and its 95 % t interval, cut off at `least` and 1."""
    ends = np.clip(t_interval(values.tolist()), least, 1.0).tolist()
    return {name: float(values.mean()), **dict(zip(names or (f"{name}_low", f"{name}_high"), ends, strict=True))}


def _check(runs: pd.DataFrame) -> None:
    conditions: Sequence[str] = list(dict.fromkeys(runs["condition"]))
    for needed in ("auxiliary", "alone"):
        if needed not in conditions:
            raise InvalidValueError(
                f"an isolation compares with the condition {needed!r}, and the runs are of "
                f"{', '.join(conditions) or 'none'}; train that too"
            )
    check_paired_seeds(runs["seed"].drop_duplicates().to_list())
    for condition, part in runs.groupby("condition", sort=False):
        if sorted(part["seed"]) != sorted(set(runs["seed"])):
            raise InvalidValueError(
                f"condition {condition!r} has the seeds {_listed(part['seed'])}, and all together have "
                f"{_listed(set(runs['seed']))}; every condition needs each seed once"
            )
        _check_same(part, SETTINGS, where=f"the runs of condition {condition!r}")
    _check_same(runs, ("main", "length", "n"), where="the runs")


def _check_reuse(runs: pd.DataFrame, reuse: pd.DataFrame) -> None:
    whole = runs.groupby("condition", sort=False)["reuse"].apply(lambda values: values.notna().all())
    measured, compared = list(whole.index[whole]), list(reuse["condition"])
    if sorted(measured) != sorted(compared):
        raise InvalidValueError(
            f"reuse is measured in {', '.join(measured) or 'no condition'}, and compared with chance in "
            f"{', '.join(compared) or 'none'}; give what `Isolation.reuse` finds of the same runs"
        )


def _check_same(runs: pd.DataFrame, columns: Sequence[str], *, where: str) -> None:
    for name in columns:
        values = list(dict.fromkeys(runs[name].astype(str)))
        if len(values) > 1:
            raise InvalidValueError(f"{where} differ in {name}: {', '.join(values)}; compare runs that agree in it")


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(str(seed) for seed in sorted(seeds))
