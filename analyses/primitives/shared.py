"""Which heads serve the same primitive in two tasks."""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from analyses.statistics.correction import benjamini_hochberg
from tasks import InvalidValueError

COLUMNS = [
    "primitive", "layer", "head", "first", "second", "first_length", "second_length", "first_effect", "second_effect",
    "first_q", "second_q", "heads", "first_heads", "second_heads", "shared", "p", "q", "family", "correction",
]  # fmt: skip


def shared_primitives(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The heads whose verdict is `implements` for one primitive in both of two tasks.

    One row per primitive and head, with `layer` and `head` as in the tables of reuse, to merge on. p is the probability
    that as many heads are shared, or more, if those that implement the primitive in either task were drawn at random
    within each layer, as many there as there are:

        shared = sum over layers of Hypergeometric(heads, first_heads, second_heads of the layer), independent

    So it does not count it as evidence that both tasks have the primitive in the same layers. It is one number for a
    primitive and says nothing about single heads. q is after Benjamini-Hochberg over the primitives that some head
    implements in each of the tasks, whether they share one or not.

    Columns: primitive, layer, head, first, second (tasks), first_length, second_length, first_effect, second_effect
    (nats lost by ablation), first_q, second_q, heads (of the model), first_heads, second_heads (how many implement the
    primitive), shared (how many do in both), p, q, family (primitives tested), correction.

    Args:
        tables: What `Primitives` gives for two tasks of one model, as two tables or as one that holds both.

    Raises:
        InvalidValueError: Not two tasks, several lengths of one, or tables of different heads.
    """
    table = pd.concat(list(tables), ignore_index=True) if len(tables) else pd.DataFrame({"task": [], "length": []})
    about = table[["task", "length"]].drop_duplicates()
    if len(about) != 2 or about["task"].nunique() != 2:
        found = ", ".join(f"{task} at {length}" for task, length in about.itertuples(index=False)) or "none"
        raise InvalidValueError(f"primitives are shared by two tasks, each at one length. Got {found}; give two tables")
    first, second = (table[table["task"] == name] for name in about["task"])
    heads = first[["layer", "head"]].drop_duplicates().reset_index(drop=True)
    if not heads.equals(second[["layer", "head"]].drop_duplicates().reset_index(drop=True)):
        raise InvalidValueError("the two tables have different heads; give two tables of one model")
    keys = ["primitive", "layer", "head"]
    serving = [part[part["verdict"] == "implements"].set_index(keys) for part in (first, second)]
    both = serving[0].join(serving[1], how="inner", suffixes=("_1", "_2")).reset_index()
    tests = {row["primitive"]: row for row in _tests(serving, heads).to_dict("records")}
    rows = [_row(one, tests[one["primitive"]], heads=len(heads)) for one in both.to_dict("records")]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"layer": "Int64", "head": "Int64"})


def _tests(serving: Sequence[pd.DataFrame], heads: pd.DataFrame) -> pd.DataFrame:
    """For each primitive of both tasks: how many heads implement it in either and in both, p and q."""
    held = [{name: list(rows.index) for name, rows in part.groupby("primitive")} for part in serving]
    sizes = heads.groupby("layer").size()
    rows: list[dict[str, object]] = []
    for name in held[0]:
        if name in held[1]:
            counts = [np.array([sum(key[1] == layer for key in one[name]) for layer in sizes.index]) for one in held]
            shared = len(set(held[0][name]) & set(held[1][name]))
            chances = shared_by_chance(sizes.to_numpy(), first=counts[0], second=counts[1])
            p = min(1.0, float(chances[shared:].sum()))
            about = {"first_heads": len(held[0][name]), "second_heads": len(held[1][name]), "shared": shared}
            rows.append({"primitive": name, **about, "p": p})
    table = pd.DataFrame(rows, columns=["primitive", "first_heads", "second_heads", "shared", "p"])
    return benjamini_hochberg(table.astype({"p": float}))


def shared_by_chance(sizes: np.ndarray, *, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The probabilities that 0, 1, ... heads are shared if those of each layer are drawn at random within it.

    Args:
        sizes: Heads of each layer.
        first: How many of them are drawn first.
        second: How many the second time.
    """
    chances = np.ones(1)
    for size, one, other in zip(sizes, first, second, strict=True):
        chances = np.convolve(chances, hypergeom.pmf(np.arange(min(one, other) + 1), size, one, other))
    return chances


def _row(one: dict[Hashable, object], test: dict[Hashable, object], *, heads: int) -> dict[Hashable, object]:
    return {
        **{key: one[key] for key in ("primitive", "layer", "head")},
        **{f"{order}": one[f"task_{number}"] for order, number in (("first", 1), ("second", 2))},
        **{
            f"{order}_{name}": one[f"{name}_{number}"]
            for name in ("length", "effect", "q")
            for order, number in (("first", 1), ("second", 2))
        },
        "heads": heads,
        **test,
    }
