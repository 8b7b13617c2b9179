"""Which head implements which primitive, in plain words and as rows of a table."""

from collections.abc import Sequence
from typing import Any

from pandas import DataFrame

from interp.words.tables import DataTable, number
from interp.words.verdict import quoted

PARTIAL = ("attends and writes", "attends only", "writes only")
"""Verdicts that are less than `implements`, the strongest first."""

_MOST_PARTIAL = 12


def primitive_sentences(table: DataFrame) -> list[str]:
    """For each task: the primitives that heads implement, with the heads, and those that no head does."""
    return [_of_task(str(task), rows) for task, rows in table.groupby("task", sort=False)] if len(table) else []


def primitives_table(table: DataFrame) -> DataTable:
    """Every head that implements a primitive, and the few that come nearest, with the evidence for each.

    Args:
        table: What `Primitives` gives, of one task or more.
    """
    if not len(table):
        return DataTable((), ())
    places = {verdict: place for place, verdict in enumerate(("implements", *PARTIAL))}
    ordered = table.assign(place=table["verdict"].map(places)).sort_values(
        ["place", "effect"], ascending=[True, False], kind="stable"
    )
    whole, partial = ordered[ordered["place"] == 0], ordered[ordered["place"].between(1, len(PARTIAL))]
    shown = [*whole.to_dict("records"), *partial.head(_MOST_PARTIAL).to_dict("records")]
    headers = (
        "head", "task", "primitive", "verdict", "looks at the source (chance)", "writes the token (chance)",
        "removed (nats)", "source hidden (nats)", "q",
    )  # fmt: skip
    return DataTable(headers, tuple(map(_row, shown)))


def shared_sentence(table: DataFrame, tasks: Sequence[str]) -> str:
    """The heads that implement the same primitive in two tasks."""
    pair = quoted(list(tasks[:2]))
    if not len(table):
        return f"No head implements the same primitive in {pair}."
    parts = []
    for name, rows in table.groupby("primitive", sort=False):
        one = rows.iloc[0]
        heads = ", ".join(f"{layer}.{head}" for layer, head in zip(rows["layer"], rows["head"], strict=True))
        parts.append(
            f"{heads} {'implements' if len(rows) == 1 else 'implement'} `{name}` in both "
            f"({one['first_heads']} and {one['second_heads']} heads do in either; drawn at random within layers, as "
            f"many would be shared with p = {float(one['p']):.2g})"
        )
    return f"Of {pair}: head {'; head '.join(parts)}."


def _of_task(task: str, table: DataFrame) -> str:
    found = table[table["verdict"] == "implements"]
    names = list(dict.fromkeys(table["primitive"]))
    at = f"On {quoted([task])} at length {int(table['length'].iloc[0])}"
    if not len(found):
        return f"{at}, no head passes all three tests for any of {quoted(names)}."
    parts = []
    for name, rows in found.groupby("primitive", sort=False):
        heads = ", ".join(f"{layer}.{head}" for layer, head in zip(rows["layer"], rows["head"], strict=True))
        parts.append(f"`{name}`: {heads}")
    without = [name for name in names if name not in set(found["primitive"])]
    rest = f" No head does for {quoted(without)}." if without else ""
    return f"{at}, these heads implement a primitive: {'; '.join(parts)}.{rest}"


def _row(row: dict[Any, Any]) -> tuple[str, ...]:
    written = max((value for value in (row["write_tokens"], row["write_values"]) if value == value), default=None)
    return (
        f"{row['layer']}.{row['head']}",
        quoted([str(row["task"])]),
        quoted([str(row["primitive"])]),
        str(row["verdict"]),
        f"{row['share']:.2f} ({row['share_chance']:.2f})",
        "writes none" if written is None else f"{written:.2f} ({row['write_chance']:.2f})",
        f"{number(row['effect'])} ± {row['effect_stderr']:.3f}",
        f"{number(row['cut'])} ± {row['cut_stderr']:.3f}",
        f"{row['q']:.2g}",
    )
