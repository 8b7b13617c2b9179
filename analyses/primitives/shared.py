"""Which heads serve the same primitive in two tasks."""

from collections.abc import Sequence

import pandas as pd
from scipy.stats import hypergeom

from tasks import InvalidValueError

COLUMNS = [
    "primitive", "layer", "head", "first", "second", "first_length", "second_length", "first_effect", "second_effect",
    "first_q", "second_q", "heads", "first_heads", "second_heads", "shared", "p",
]  # fmt: skip


def shared_primitives(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The heads whose verdict is `implements` for one primitive in both of two tasks.

    One row per primitive and head, with `layer` and `head` as in the tables of reuse, to merge on. p is the
    hypergeometric probability that as many heads are shared, or more, if those that implement the primitive in either
    task were drawn at random from all heads of the model; it says nothing about single heads.

    Columns: primitive, layer, head, first, second (tasks), first_length, second_length, first_effect, second_effect
    (nats lost by ablation), first_q, second_q, heads (of the model), first_heads, second_heads (how many implement the
    primitive), shared (how many do in both), p.

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
    rows = [_row(one, both, serving, heads=len(heads)) for one in both.to_dict("records")]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"layer": "Int64", "head": "Int64"})


def _row(
    one: dict[str, object], both: pd.DataFrame, serving: Sequence[pd.DataFrame], *, heads: int
) -> dict[str, object]:
    counts = [int((part.index.get_level_values("primitive") == one["primitive"]).sum()) for part in serving]
    shared = int((both["primitive"] == one["primitive"]).sum())
    return {
        **{key: one[key] for key in ("primitive", "layer", "head")},
        **{f"{order}": one[f"task_{number}"] for order, number in (("first", 1), ("second", 2))},
        **{
            f"{order}_{name}": one[f"{name}_{number}"]
            for name in ("length", "effect", "q")
            for order, number in (("first", 1), ("second", 2))
        },
        "heads": heads,
        "first_heads": counts[0],
        "second_heads": counts[1],
        "shared": shared,
        "p": float(hypergeom.sf(shared - 1, heads, *counts)),
    }
