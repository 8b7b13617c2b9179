"""The overlap table in plain words: each measure with its interval, each null with what it says and does not say."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pandas import DataFrame

from interp.figures.heads import metric_name
from interp.figures.overlap_strip import overlap_strip
from interp.words.verdict import quoted

LEVEL = 0.05
"""p-values below this are called significant."""

_NAMES = {
    "mean_absolute_difference": "Mean absolute difference",
    "cosine": "Cosine similarity",
    "spearman": "Spearman rank correlation",
    "weighted_jaccard": "Weighted Jaccard index",
    "rank_biased_overlap": "Rank-biased overlap",
    "jaccard": "Jaccard index",
    "overlap_coefficient": "Overlap coefficient",
}
_NULLS = {
    "free": "Heads shuffled freely",
    "within_layer": "Heads shuffled within layers",
    "hypergeometric": "Sets drawn at random (exact)",
}
_UNITS = {
    "accuracy": "as a fraction of examples",
    "token_accuracy": "as a fraction of tokens",
    "nll": "in nats per scored token",
    "logit_difference": "in logits",
}

Row = Mapping[Any, object]


@dataclass(frozen=True)
class NullWords:
    """One comparison with shuffled heads: its name, its sentence, and the strip that draws it (SVG)."""

    null: str
    sentence: str
    strip: str
    significant: bool


@dataclass(frozen=True)
class MeasureWords:
    """One measure of overlap: its name, its sentence, and its comparisons."""

    measure: str
    sentence: str
    nulls: tuple[NullWords, ...]


@dataclass(frozen=True)
class PairWords:
    """All measures of one pair of maps."""

    first: str
    second: str
    length: int
    metric: str
    kind: str
    measures: tuple[MeasureWords, ...]


def overlap_words(table: DataFrame) -> list[PairWords]:
    """Turns `StudyResults.overlap` into sentences, pair by pair and measure by measure, in the table's order."""
    pairs: dict[tuple[object, ...], dict[tuple[object, ...], list[Row]]] = {}
    for row in table.to_dict("records"):
        pair = tuple(row[name] for name in ("first", "second", "length", "metric", "kind"))
        pairs.setdefault(pair, {}).setdefault((row["measure"], _top(row)), []).append(row)
    return [
        PairWords(
            str(first),
            str(second),
            int(str(length)),
            metric_name(str(metric)),
            str(kind),
            tuple(map(_measure, measures.values())),
        )
        for (first, second, length, metric, kind), measures in pairs.items()
    ]


def estimate_sentence(row: Row) -> str:
    """What a measure found, with the 95 % interval of what it is without the noise of a sample of examples."""
    subject = _subject(row)
    estimate, low, high = (_number(row, name) for name in ("estimate", "low", "high"))
    if math.isnan(estimate):
        return f"{subject} is not defined for these maps."
    bounded = not (math.isnan(low) or math.isnan(high))
    interval = f"95 % interval {shown(row, low)} to {shown(row, high)}" if bounded else "interval not defined"
    return f"{subject} is {shown(row, estimate)} ({interval}){_remark(row, estimate)}."


def null_sentence(row: Row) -> str:
    """What shuffled heads would give, and whether the estimate is more alike than that."""
    name = _NULLS.get(str(row["null"]), f"The null '{row['null']}'")
    mean, low, high, p = (_number(row, column) for column in ("null_mean", "null_low", "null_high", "p"))
    if math.isnan(mean) or math.isnan(_number(row, "estimate")):
        return f"{name}: the comparison is not defined."
    of = "sets" if row["null"] == "hypergeometric" else "shuffles"
    bounded = not (math.isnan(low) or math.isnan(high))
    spread = f" (95 % of {of} {shown(row, low)} to {shown(row, high)})" if bounded else ""
    verb = "give" if str(row["null"]) in _NULLS else "gives"
    return f"{name} {verb} {shown(row, mean)} on average{spread}; {_p_words(p, _number(row, 'permutations'), of=of)}"


def overlap_headline(table: DataFrame, *, metric: str = "accuracy") -> list[str]:
    """One sentence per pair of maps in one metric: cosine similarity, against heads shuffled within layers."""
    rows = table[(table["measure"] == "cosine") & (table["null"] == "within_layer") & (table["metric"] == metric)]
    return [_headline(row) for row in rows.to_dict("records")]


def correction_note(table: DataFrame) -> str:
    """How many comparisons the table makes, and the p-value that would stand after Bonferroni's correction."""
    count = int(table["p"].notna().sum())
    if count < 2:
        return ""
    return (
        f"The table makes {count} comparisons and its p-values are not corrected for that: after Bonferroni's "
        f"correction only p below {LEVEL / count:.2g} would count as significant."
    )


def _headline(row: Row) -> str:
    names = ("estimate", "low", "high", "null_mean", "p")
    estimate, low, high, mean, p = (_number(row, name) for name in names)
    maps = f"The ablation maps of {quoted([str(row['first']), str(row['second'])])}"
    if any(math.isnan(value) for value in (estimate, low, high, mean, p)):
        return f"{maps} can't be compared: a number is not defined."
    alike = "are more alike" if p < LEVEL else "are not clearly more alike"
    return (
        f"{maps} {alike} than with heads shuffled within layers: cosine similarity {shown(row, estimate)} "
        f"(95 % interval {shown(row, low)} to {shown(row, high)}) against {shown(row, mean)}, {_p_text(p)}."
    )


def _measure(rows: list[Row]) -> MeasureWords:
    top = _top(rows[0])
    name = measure_name(rows[0]) + (f", top {top}" if top else "")
    return MeasureWords(name, estimate_sentence(rows[0]), tuple(map(_null, rows)))


def _null(row: Row) -> NullWords:
    names = ("estimate", "low", "high", "null_mean", "null_low", "null_high")
    estimate, low, high, mean, null_low, null_high = (_number(row, name) for name in names)
    strip = overlap_strip(estimate=estimate, low=low, high=high, null_mean=mean, null_low=null_low, null_high=null_high)
    label = _NULLS.get(str(row["null"]), str(row["null"]))
    return NullWords(label, null_sentence(row), strip, _number(row, "p") < LEVEL)


def _p_words(p: float, permutations: float, *, of: str) -> str:
    if math.isnan(p):
        return "p is not defined."
    text = _p_text(p)
    if permutations > 0 and math.isclose(p, 1 / (permutations + 1), rel_tol=1e-6):
        text += f", the smallest that {permutations:.0f} shuffles can give"
    if p < LEVEL:
        return f"{text}: the two maps are more alike than such {of}."
    return f"{text}: not significant, such {of} are often as much alike."


def _p_text(p: float) -> str:
    return f"p = {p:.2g}" if p >= 0.0001 else "p < 0.0001"


def _subject(row: Row) -> str:
    top = _top(row)
    if row["measure"] == "mean_absolute_difference":
        return "The mean absolute difference between the two maps"
    return f"{measure_name(row)} of the two tasks' top {top} heads" if top else f"{measure_name(row)} of the two maps"


def _remark(row: Row, estimate: float) -> str:
    """What helps to read the number: its unit, or how many heads a Jaccard index stands for."""
    if row["measure"] == "mean_absolute_difference":
        unit = _UNITS.get(str(row["metric"]))
        return (f", {unit}, averaged over heads" if unit else "") + "; smaller is more alike"
    top = _top(row)
    if not top:
        return ""
    shared = 2 * top * estimate / (1 + estimate) if row["measure"] == "jaccard" else top * estimate
    return f": {round(shared)} of {top} are the same" if abs(shared - round(shared)) < 1e-6 else ""


def measure_name(row: Row) -> str:
    """The name of a row's measure in words."""
    name = str(row["measure"])
    return _NAMES.get(name, name.replace("_", " ").capitalize())


def _top(row: Row) -> int | None:
    """k of a top-k measure; None for the others."""
    k = _number(row, "k")
    return None if math.isnan(k) else int(k)


def _number(row: Row, column: str) -> float:
    value = row[column]
    return float(value) if isinstance(value, int | float) else math.nan


def shown(row: Row, value: float) -> str:
    """A number with the decimals that its measure deserves."""
    decimals = 3 if row["measure"] == "mean_absolute_difference" else 2
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")
