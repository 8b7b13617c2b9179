"""What finetuning from each checkpoint reaches: accuracy by length, beyond the main task's lengths, and the gain."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analyses.pretraining.finetuned import Finetuned
from analyses.statistics.seeds import t_interval
from analyses.transfer.gain import transfer_gains
from tasks import InvalidValueError
from training.runs import Weights

POINT = ["group", "condition", "pretraining_step", "seed"]


def finetuned_accuracy(runs: Sequence[Finetuned], *, weights: Weights = "averaged") -> pd.DataFrame:
    """Accuracy by length of every task of every run at the end of its finetuning, as it was measured there.

    Returns:
        A row per run, task and length: group, condition, pretraining_step, seed, run, main, task, length, main_length
        and auxiliary_length (longest in finetuning; without auxiliaries both are the main task's), weights, n,
        accuracy (exact match, in [0, 1]), stderr, nll (nats per scored token).
    """
    tables: list[pd.DataFrame] = []
    for one in runs:
        metrics, mixture = one.run.metrics, one.run.mixture
        last = metrics[(metrics["step"] == metrics["step"].max()) & (metrics["weights"] == weights)]
        about: dict[str, Any] = {
            **one.about,
            "main": mixture[0].task.name,
            "main_length": mixture[0].max_length,
            "auxiliary_length": max(member.max_length for member in mixture),
        }
        tables.append(last[["task", "length", "weights", "n", "accuracy", "stderr", "nll"]].assign(**about))
    table = pd.concat(tables, ignore_index=True)
    order = [*POINT, "run", "main", "task", "length", "main_length", "auxiliary_length", "weights", "n"]
    return table[[*order, "accuracy", "stderr", "nll"]]


def pretraining_transfer(accuracy: pd.DataFrame) -> pd.DataFrame:
    """What each run reaches beyond the main task's lengths.

        beyond  mean accuracy of the main task over the measured lengths above its own longest, up to the longest
                auxiliary's in the same group: what the first paper plots over pretraining steps (its Figure 9 gives no
                numbers and does not say at which lengths).
        gap     mean over the lengths that were measured up to there of |auxiliary - main|, mean over auxiliaries; only
                of runs with auxiliaries.

    Args:
        accuracy: As `finetuned_accuracy` gives it.

    Returns:
        A row per run and quantity: group, condition, pretraining_step, seed, quantity, value, lengths (as text), n.

    Raises:
        InvalidValueError: Several runs of one group, condition, step and seed; or nothing was measured beyond the main
            task's lengths.
    """
    _check(accuracy)
    rows = []
    for group in accuracy["group"].unique():
        of_group = accuracy[accuracy["group"] == group]
        measured = of_group[of_group["length"] <= of_group["auxiliary_length"].max()]
        if not (measured["length"] > measured["main_length"]).any():
            raise InvalidValueError(
                f"group {group!r}: nothing was measured beyond the main task's length "
                f"{of_group['main_length'].max()} up to {of_group['auxiliary_length'].max()}, the longest auxiliary's; "
                "name such lengths as measure.lengths"
            )
        for _, part in measured.groupby(POINT, sort=False):
            rows += _of_run(part)
    return pd.DataFrame(rows)


def _check(accuracy: pd.DataFrame) -> None:
    runs = accuracy[[*POINT, "run"]].drop_duplicates()
    twice = runs[runs.duplicated(POINT, keep=False)]
    if len(twice):
        first = twice.iloc[0]
        same = twice[(twice[POINT] == first[POINT]).all(axis=1)]
        raise InvalidValueError(
            f"{', '.join(f'{name} {first[name]}' for name in POINT)}: {len(same)} runs, {', '.join(same['run'])}; they "
            "differ in something else, so choose the runs of one value of it, or sweep each in a grid of its own"
        )


def _of_run(part: pd.DataFrame) -> list[dict[str, object]]:
    wide, first = part.pivot(index="length", columns="task", values="accuracy"), part.iloc[0]
    main, others = wide[first["main"]], wide.drop(columns=first["main"])
    beyond = main[main.index > first["main_length"]]
    values = {"beyond": (beyond.mean(), beyond.index)}
    if len(others.columns):
        values["gap"] = (others.sub(main, axis=0).abs().mean().mean(), main.index)
    about = {name: first[name] for name in POINT}
    return [
        {**about, "quantity": name, "value": float(value), "lengths": " ".join(map(str, lengths)), "n": int(first["n"])}
        for name, (value, lengths) in values.items()
    ]


def pretraining_gains(accuracy: pd.DataFrame) -> pd.DataFrame:
    """What the auxiliary adds at each length, paired by seed, for every group and checkpoint (`transfer_gains`).

    Returns:
        The rows of `transfer_gains` with group and pretraining_step in front; q is within one group and checkpoint.

    Raises:
        InvalidValueError: As `transfer_gains`.
    """
    tables: list[pd.DataFrame] = []
    main = accuracy[accuracy["task"] == accuracy["main"]]
    for _, part in main.groupby(["group", "pretraining_step"], sort=True):
        about = {name: part[name].iloc[0] for name in ("group", "pretraining_step")}
        tables.append(transfer_gains(part).assign(**about))
    table = pd.concat(tables, ignore_index=True)
    front = ["group", "pretraining_step"]
    return table[[*front, *(column for column in table if column not in front)]]


def over_pretraining(table: pd.DataFrame, *, by: Sequence[str], level: float = 0.95) -> pd.DataFrame:
    """Mean over seeds with its t interval of a column `value`, at every pretraining step.

    Args:
        table: A row per seed and whatever `by` tells apart.
        by: Columns, as group, condition, quantity.
        level: Of the intervals.

    Returns:
        A row per combination and pretraining_step: mean, low, high (missing with one seed), seeds.
    """
    rows = []
    for point, part in table.groupby([*by, "pretraining_step"], sort=True, dropna=False):
        low, high = t_interval(part["value"].to_list(), level=level)
        about = dict(zip([*by, "pretraining_step"], point, strict=True))
        rows.append({**about, "mean": part["value"].mean(), "low": low, "high": high, "seeds": part["seed"].nunique()})
    return pd.DataFrame(rows)
