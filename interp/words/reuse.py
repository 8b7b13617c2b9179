"""Reuse and transfer over training, and the cross-task test, in plain words and as rows of tables."""

from typing import Any

from pandas import DataFrame

from interp.words.overlap import LEVEL
from interp.words.tables import DataTable, interval, number
from interp.words.verdict import quoted

QUANTITIES = {
    "mean_absolute_difference": "map difference",
    "cosine": "cosine of the maps",
    "spearman": "Spearman of the maps",
    "weighted_jaccard": "weighted Jaccard of the maps",
    "rank_biased_overlap": "rank-biased overlap",
    "jaccard": "Jaccard of the top heads",
    "overlap_coefficient": "overlap of the top heads",
    "attention_difference": "attention difference",
    "jensen_shannon": "Jensen-Shannon divergence of attention",
    "offset_cosine": "cosine of attention offsets",
    "gap": "generalization gap",
    "accuracy": "exact match of the main task",
    "nll": "loss of the main task",
}
"""What is followed over training, in words."""

_HEADLINE = ("mean_absolute_difference", "accuracy")
"""The first paper's measure, which the sentence is about."""


def quantity_name(quantity: str, metric: str = "") -> str:
    """A quantity in words, with the metric of its maps."""
    name = QUANTITIES.get(quantity, quantity.replace("_", " "))
    return f"{name} ({'exact match' if metric == 'accuracy' else metric})" if metric else name


def association_sentences(table: DataFrame) -> list[str]:
    """For each auxiliary: whether the map difference follows the gap over training, and whether that is the seed's own.

    Args:
        table: What `association` gives; the rows of all seeds together, or of the one seed there is.
    """
    rows = headline_rows(table)
    rows = rows[(rows["quantity"] == _HEADLINE[0]) & (rows["metric"] == _HEADLINE[1])] if len(rows) else rows
    return [_sentence(row) for row in rows.to_dict("records")]


def headline_rows(table: DataFrame) -> DataFrame:
    """The rows against the gap: of all seeds together, or of single seeds where there are no others."""
    if not len(table):
        return table
    against = table[table["outcome"] == "gap"]
    pooled = against[against["level"] == "pooled"]
    return pooled if len(pooled) else against


def association_table(table: DataFrame) -> DataTable:
    """One row per measure of reuse: how it goes with the gap, and how sure that is."""
    headers = ("measure of reuse", "with", "expected", "Spearman", "detrended", "q", "q, own seed against others")
    return DataTable(headers, tuple(map(_association_row, headline_rows(table).to_dict("records"))))


def leads_table(table: DataFrame) -> DataTable:
    """One row per measure that rises in some seed: at which step, beside that of exact match."""
    rows = table[table["level"] == "pooled"] if "level" in table and (table["level"] == "pooled").any() else table
    rows = rows[rows["lead"].notna()] if len(rows) else rows
    headers = ("measure of reuse", "with", "reuse rises at step", "exact match at", "lead (steps)", "q", "seeds")
    return DataTable(headers, tuple(map(_leads_row, rows.to_dict("records"))))


def cross_table(table: DataFrame) -> DataTable:
    """One row per pair of tasks: what the scored one loses without the other's top heads, and without random ones."""
    headers = ("ablated: top heads of", "heads", "scored", "loses", "random heads lose", "share of own loss", "q")
    return DataTable(headers, tuple(map(_cross_row, table.to_dict("records"))))


def cross_sentences(table: DataFrame) -> list[str]:
    """For each pair of different tasks: whether one's heads cost the other more than random heads of those layers."""
    others = table[table["ablated"] != table["scored"]] if len(table) else table
    return [_cross_sentence(row) for row in others.to_dict("records")]


def _sentence(row: dict[Any, Any]) -> str:
    seeds = f"over {row['seeds']} seeds" if row["seeds"] > 1 else f"in seed {row['seed']}"
    signed = float(row["expected"]) * float(row["detrended"])
    goes = "goes with" if signed > 0 else "goes against" if signed < 0 else "goes neither with nor against"
    sure = "" if row["q"] < LEVEL else ", which shifted series often reach too"
    text = (
        f"With {quoted([str(row['auxiliary'])])}, {seeds}, a smaller map difference {goes} a smaller gap "
        f"(detrended Spearman {number(row['detrended'], 2)}, q = {row['q']:.2g}{sure})"
    )
    if row["seeds_p"] != row["seeds_p"] or str(row["seeds_p"]) == "<NA>":
        return f"{text}."
    own = row["seeds_p"] < LEVEL
    beside = "more than" if own else "no more clearly than"
    return f"{text}, and {beside} with the gap of other seeds (p = {float(row['seeds_p']):.2g})."


def _association_row(row: dict[Any, Any]) -> tuple[str, ...]:
    own = row["seeds_q"]
    return (
        quantity_name(str(row["quantity"]), str(row["metric"])),
        quoted([str(row["auxiliary"])]),
        "rises with the gap" if row["expected"] > 0 else "falls with the gap",
        number(row["spearman"], 2),
        interval(row["detrended"], (row["detrended_low"], row["detrended_high"])),
        f"{row['q']:.2g}",
        "" if own != own or str(own) == "<NA>" else f"{float(own):.2g}",
    )


def _leads_row(row: dict[Any, Any]) -> tuple[str, ...]:
    return (
        quantity_name(str(row["quantity"]), str(row["metric"])),
        quoted([str(row["auxiliary"])]),
        f"{row['reuse_step']:.0f}",
        f"{row['accuracy_step']:.0f}",
        interval(row["lead"], (row["low"], row["high"]), decimals=0),
        "" if row["q"] != row["q"] else f"{row['q']:.2g}",
        str(row["seeds"]),
    )


def _cross_row(row: dict[Any, Any]) -> tuple[str, ...]:
    return (
        quoted([str(row["ablated"])]),
        str(row["heads"]).replace(" ", ", "),
        quoted([str(row["scored"])]),
        interval(row["effect"], (row["low"], row["high"]), decimals=3),
        interval(row["control_mean"], (row["control_low"], row["control_high"]), decimals=3),
        f"{row['share']:.2f}" if row["share"] == row["share"] else "not defined",
        f"{row['q']:.2g}" if row["q"] == row["q"] else "not defined",
    )


def _cross_sentence(row: dict[Any, Any]) -> str:
    more = "more than" if row["q"] < LEVEL else "no more clearly than"
    loss = interval(row["effect"], (row["low"], row["high"]), decimals=3)
    return (
        f"Without the top heads of {quoted([str(row['ablated'])])} ({str(row['heads']).replace(' ', ', ')}), "
        f"{quoted([str(row['scored'])])} loses {loss}: {more} without as many random heads of the same layers "
        f"({number(row['control_mean'])}; q = {row['q']:.2g})."
    )
