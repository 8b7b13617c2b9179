"""The headline of a study in plain words: did the auxiliary carry the main task, by how much, how sure are we."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pandas import DataFrame

from analyses.transfer.study_results import StudyResults
from interp.words.intervals import UNDEFINED, Estimate, newcombe, wilson

LARGE, SMALL = 0.5, 0.1
"""A gain from `LARGE` on is "yes", from `SMALL` on "in part", below that "barely" (fractions of strings)."""


@dataclass(frozen=True)
class Card:
    """One big number of the headline."""

    condition: str
    label: str
    estimate: Estimate


@dataclass(frozen=True)
class Verdict:
    """The headline.

    Attributes:
        question: What the study asks.
        answer: One or a few words.
        sentences: The numbers behind the answer. Names stand in backticks.
        cards: The three models' accuracies.
        weights: Which weights the numbers are for.
        n: Examples per model, NaN if unknown.
    """

    question: str
    answer: str
    sentences: tuple[str, ...]
    cards: tuple[Card, ...]
    weights: str
    n: float


def verdict(results: StudyResults) -> Verdict:
    """Whether the main task reached `transfer_length`, by the accuracies there (averaged weights if there are any).

    The answer is positive only if the gain over the model trained alone, and that over the control if there is one,
    have 95 % intervals (Newcombe) above zero.
    """
    weights = "averaged" if (results.accuracy["weights"] == "averaged").any() else "raw"
    rows = _rows(results, weights)
    accuracies = {condition: _accuracy(rows, condition) for condition in ("auxiliary", "alone", "control")}
    cards = [
        Card("auxiliary", f"with {quoted(results.auxiliaries)}", accuracies["auxiliary"]),
        Card("alone", "alone", accuracies["alone"]),
        Card("control", f"with {quoted(results.controls)} (control)", accuracies["control"]),
    ]
    return Verdict(
        question=f"Does training with {quoted(results.auxiliaries)} carry {quoted([results.main])} to length "
        f"{results.transfer_length}?",
        answer=_answer(**accuracies, has_control=bool(results.controls)),
        sentences=tuple(_sentences(results, **accuracies)),
        cards=tuple(cards if results.controls else cards[:2]),
        weights=weights,
        n=float(rows["n"].min()) if len(rows) else math.nan,
    )


def quoted(names: Sequence[str]) -> str:
    """Names in backticks, as a list in words: "`a`, `b` and `c`"."""
    marked = ["`" + name.replace("`", "'") + "`" for name in names]
    return " and ".join(([", ".join(marked[:-1])] if len(marked) > 1 else []) + marked[-1:])


def percent(estimate: Estimate) -> str:
    """An accuracy in words: "92.4 % (95 % interval 90.1 to 94.2 %)", or "an undefined share"."""
    if not estimate.defined:
        return "an undefined share"
    value, low, high = (100 * number for number in (estimate.value, estimate.low, estimate.high))
    return f"{value:.1f} % (95 % interval {low:.1f} to {high:.1f} %)"


def points(difference: Estimate) -> str:
    """A difference of accuracies in words: "+90.3 points (95 % interval +87.1 to +92.5)", or "not defined"."""
    if not difference.defined:
        return "not defined"
    value, low, high = (_signed(100 * number) for number in (difference.value, difference.low, difference.high))
    doubt = "" if difference.low > 0 or difference.high < 0 else ", not clearly above or below zero"
    return f"{value} points (95 % interval {low} to {high}){doubt}"


def _signed(number: float) -> str:
    text = f"{number:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def _rows(results: StudyResults, weights: str) -> DataFrame:
    table = results.accuracy
    return table[
        (table["weights"] == weights) & (table["task"] == results.main) & (table["length"] == results.transfer_length)
    ]


def _accuracy(rows: DataFrame, condition: str) -> Estimate:
    mine = rows[rows["condition"] == condition]
    return wilson(float(mine["accuracy"].iloc[0]), float(mine["n"].iloc[0])) if len(mine) else UNDEFINED


def _answer(*, auxiliary: Estimate, alone: Estimate, control: Estimate, has_control: bool) -> str:
    gain, specific = newcombe(auxiliary, alone), newcombe(auxiliary, control)
    if not gain.defined or (has_control and not specific.defined):
        return "Not measured"
    if gain.high < 0:
        return "No, it did worse"
    if gain.low <= 0:
        return "No"
    if has_control and specific.low <= 0:
        return "No more than the control does"
    smallest = min(gain.value, specific.value) if has_control else gain.value
    return "Yes" if smallest >= LARGE else "In part" if smallest >= SMALL else "Barely"


def _sentences(results: StudyResults, *, auxiliary: Estimate, alone: Estimate, control: Estimate) -> list[str]:
    main, beyond = quoted([results.main]), results.transfer_length - results.main_length
    reach = f"{beyond} beyond the longest it was trained on" if beyond > 0 else "a length it was trained on"
    first = (
        f"At length {results.transfer_length}, {reach}, {main} trained with {quoted(results.auxiliaries)} "
        f"(lengths up to {results.auxiliary_length}) answers {percent(auxiliary)} of examples exactly right."
    )
    sentences = [
        first,
        f"Trained alone, it answers {percent(alone)}: the difference is {points(newcombe(auxiliary, alone))}.",
    ]
    if results.controls:
        sentences.append(
            f"Trained with the unrelated {quoted(results.controls)}, it answers {percent(control)}: the difference is "
            f"{points(newcombe(auxiliary, control))}."
        )
    if alone.defined and alone.value >= 0.9:
        sentences.append(f"Trained alone, {main} already reaches this length, so there is little left to gain.")
    return sentences
