"""The headline of a study over seeds in plain words, and its tables."""

import math

from pandas import DataFrame

from analyses.statistics.seeds import t_interval
from interp.findings.seeds import SeedFindings
from interp.words.intervals import UNDEFINED, Estimate
from interp.words.tables import DataTable, interval
from interp.words.verdict import LARGE, SMALL, Card, Verdict, percent, points, quoted


def seed_verdict(findings: SeedFindings) -> Verdict:
    """Whether the main task reached the transfer length, by the mean over seeds of the differences, paired by seed.

    The answer is positive only if the gain over the model trained alone, and that over the control if there is one,
    have 95 % t intervals above zero.
    """
    weights = weights_of(findings.results.accuracy)
    auxiliaries, controls = findings.others("auxiliary"), findings.others("control")
    labels = {"auxiliary": f"with {quoted(auxiliaries)}", "alone": "alone"}
    labels |= {"control": f"with {quoted(controls)} (control)"} if controls else {}
    means = {name: _mean(findings, name, weights) for name in labels}
    gains = {other: _gain(findings, other, weights) for other in ("alone", "control") if other in labels}
    return Verdict(
        question=f"Does training with {quoted(auxiliaries)} carry {quoted([findings.main])} to length "
        f"{findings.transfer_length}?",
        answer=_answer([gain for gain, _ in gains.values()]),
        sentences=tuple(_sentences(findings, means, gains)),
        cards=tuple(Card(name, label, means[name]) for name, label in labels.items()),
        weights=weights,
        n=float(findings.results.accuracy["n"].min()),
    )


def weights_of(table: DataFrame) -> str:
    """The weights to be read first: averaged, if there are any."""
    return "averaged" if (table["weights"] == "averaged").any() else str(table["weights"].iloc[0])


def over_seeds(table: DataFrame) -> DataFrame:
    """Mean accuracy over seeds with its 95 % t interval: a row per condition, weights and length."""
    rows = [
        {"condition": condition, "weights": weights, "length": length, "mean": part["accuracy"].mean(),
         **dict(zip(("low", "high"), _clipped(part["accuracy"].tolist()), strict=True)), "seeds": len(part)}
        for (condition, weights, length), part in table.groupby(["condition", "weights", "length"], sort=False)
    ]  # fmt: skip
    table = DataFrame(rows)
    return table.sort_values("length", kind="stable") if len(table) else table


def gains_table(findings: SeedFindings) -> DataTable:
    """One row per length: each contrast with its interval and q."""
    table = findings.results.gains
    table = table[table["weights"] == weights_of(table)]
    contrasts = list(dict.fromkeys(table["contrast"]))
    cells = {
        (row["length"], row["contrast"]): f"{interval(row['gain'], (row['low'], row['high']))}, q = {row['q']:.2g}"
        for row in table.to_dict("records")
    }
    lengths = sorted(int(length) for length in table["length"].unique())
    rows = tuple((str(at), *(cells.get((at, contrast), "") for contrast in contrasts)) for at in lengths)
    return DataTable(("length", *contrasts), rows)


def primitive_seeds_table(findings: SeedFindings) -> DataTable:
    """One row per task and primitive: in how many seeds some head implements it, and which heads."""
    table = findings.primitives
    if not len(table):
        return DataTable((), ())
    rows = []
    for (task, name), part in table.groupby(["task", "primitive"], sort=False):
        heads = [_heads(part[part["seed"] == seed]) for seed in findings.seeds]
        having = f"{sum(bool(one) for one in heads)} of {len(heads)}"
        rows.append((f"`{name}`", f"`{task}`", having, *(one or "none" for one in heads)))
    return DataTable(("primitive", "task", "seeds", *(f"heads, seed {seed}" for seed in findings.seeds)), tuple(rows))


def shared_seeds_sentence(findings: SeedFindings) -> str:
    """In how many seeds a head implements the same primitive in both tasks."""
    pair, table = quoted([findings.main, *findings.others("auxiliary")[:1]]), findings.shared_primitives
    if not len(table):
        return f"In none of {len(findings.seeds)} seeds does a head implement the same primitive in {pair}."
    by_name = table.groupby("primitive", sort=False)
    parts = [f"`{name}` in {part['seed'].nunique()} ({_with_seeds(part)})" for name, part in by_name]
    return f"Of {len(findings.seeds)} seeds, a head implements the same primitive in {pair}: {'; '.join(parts)}."


def _with_seeds(table: DataFrame) -> str:
    return ", ".join(
        f"{layer}.{head} of seed {seed}"
        for layer, head, seed in table[["layer", "head", "seed"]].itertuples(index=False)
    )


def _heads(table: DataFrame) -> str:
    rows = table[table["verdict"] == "implements"]
    return ", ".join(f"{layer}.{head}" for layer, head in zip(rows["layer"], rows["head"], strict=True))


def _clipped(values: list[float]) -> tuple[float, float]:
    low, high = t_interval(values)
    return (max(0.0, low), min(1.0, high)) if not math.isnan(low) else (low, high)


def _mean(findings: SeedFindings, condition: str, weights: str) -> Estimate:
    table = findings.results.accuracy
    rows = table[
        (table["condition"] == condition)
        & (table["weights"] == weights)
        & (table["length"] == findings.transfer_length)
    ]
    if not len(rows):
        return UNDEFINED
    low, high = _clipped(rows["accuracy"].tolist())
    return Estimate(float(rows["accuracy"].mean()), low, high)


def _gain(findings: SeedFindings, other: str, weights: str) -> tuple[Estimate, float]:
    """What the auxiliary adds to another condition at the transfer length, and its q."""
    table = findings.results.gains
    rows = table[
        (table["contrast"] == f"auxiliary - {other}")
        & (table["weights"] == weights)
        & (table["length"] == findings.transfer_length)
    ]
    if not len(rows):
        return UNDEFINED, math.nan
    row = rows.iloc[0]
    return Estimate(float(row["gain"]), float(row["low"]), float(row["high"])), float(row["q"])


def _answer(gains: list[Estimate]) -> str:
    alone = gains[0]
    if not all(gain.defined for gain in gains):
        return "Not measured"
    if alone.high < 0:
        return "No, it did worse"
    if alone.low <= 0:
        return "No"
    if any(gain.low <= 0 for gain in gains[1:]):
        return "No more than the control does"
    smallest = min(gain.value for gain in gains)
    return "Yes" if smallest >= LARGE else "In part" if smallest >= SMALL else "Barely"


def _sentences(
    findings: SeedFindings, means: dict[str, Estimate], gains: dict[str, tuple[Estimate, float]]
) -> list[str]:
    main, seeds = quoted([findings.main]), len(findings.seeds)
    first = (
        f"At length {findings.transfer_length}, {main} trained with {quoted(findings.others('auxiliary'))} answers "
        f"{percent(means['auxiliary'])} of examples exactly right, on average over {seeds} seeds."
    )
    sentences = [first]
    starts = {"alone": "Trained alone", "control": f"Trained with the unrelated {quoted(findings.others('control'))}"}
    for other, (gain, q) in gains.items():
        told = (
            f"the difference, seed by seed, is {points(gain)}, q = {q:.2g}"
            if q == q
            else "the difference was not measured"
        )
        sentences.append(f"{starts[other]}, it answers {percent(means[other])}: {told}.")
    least = 2.0**-seeds
    return [*sentences, f"With {seeds} seeds, no sign-flip p can be below {least:.2g}, before it is corrected."]
