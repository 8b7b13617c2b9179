"""Prints the tables of `stability.md`: `python docs/results/stability_tables.py SWEEP...`, sweeps' folders."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

AXES = ["train.schedule", "train.draw", "train.batch_size"]
TASK, LENGTHS = "shift", (15, 20)


def measured(folders: list[Path]) -> pd.DataFrame:
    """Accuracy of the main task at the transfer lengths: a row per run, step, weights and length."""
    tables = []
    for folder in folders:
        table = pd.read_parquet(folder / "results.parquet")
        tables.append(table.reindex(columns=list(dict.fromkeys([*AXES, *table.columns]))))
    table = pd.concat(tables, ignore_index=True)
    table["train.draw"] = table["train.draw"].fillna("batch")
    table["train.batch_size"] = table["train.batch_size"].fillna(64).astype(int)
    return table[(table["task"] == TASK) & table["length"].isin(LENGTHS)]


def interval(values: pd.Series) -> str:
    """Mean over seeds with its 95 % t interval."""
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.2f} ± {half:.2f}"


def oscillation(curve: pd.DataFrame) -> float:
    """Mean change of accuracy from checkpoint to checkpoint, either way, over the second half of training."""
    accuracy = curve.sort_values("step")["accuracy"].to_numpy()
    return float(np.abs(np.diff(accuracy[len(accuracy) // 2 :])).mean())


def ends(table: pd.DataFrame) -> pd.DataFrame:
    """The last checkpoint's accuracy: a column for each way of training, weights and length; a row for each seed."""
    last = table[table["step"] == table["step"].max()]
    return last.pivot(index="seed", columns=[*AXES, "weights", "length"], values="accuracy")


def print_ways(table: pd.DataFrame) -> None:
    """A row for each way of training and kind of weights."""
    print("| rate | draw | batch | weights | n | at 15 | lowest, highest | at 20 | lowest, highest | change |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    last = ends(table)
    for (*values, kind), group in table.groupby([*AXES, "weights"]):
        cells = []
        for length in LENGTHS:
            accuracy = last[(*values, kind, length)]
            cells += [interval(accuracy), f"{accuracy.min():.2f}, {accuracy.max():.2f}"]
        curves = group[group["length"] == LENGTHS[0]].groupby("seed")
        change = interval(pd.Series([oscillation(curve) for _, curve in curves]))
        print("| " + " | ".join([*map(str, values), str(kind), str(len(last)), *cells, change]) + " |")


def print_differences(table: pd.DataFrame) -> None:
    """Differences of two ways within seeds, with their intervals."""
    last, plain = ends(table), ("constant", "batch", 64, "averaged")
    pairs = {
        "averaged less raw": (plain, (*plain[:3], "raw")),
        "averaged less raw, cosine": (("cosine", *plain[1:]), ("cosine", "batch", 64, "raw")),
        "averaged less raw, batch 256": (("constant", "batch", 256, "averaged"), ("constant", "batch", 256, "raw")),
        "constant less cosine, both averaged": (plain, ("cosine", *plain[1:])),
        "constant averaged less cosine raw": (plain, ("cosine", "batch", 64, "raw")),
        "batch 256 less 64, both averaged": (("constant", "batch", 256, "averaged"), plain),
        "one length per step less one per example, both averaged": (plain, ("constant", "example", 64, "averaged")),
    }
    print("| difference within seeds | n | at 15 | at 20 |")
    print("|---|---|---|---|")
    for name, (one, other) in pairs.items():
        cells = [interval(last[(*one, length)] - last[(*other, length)]) for length in LENGTHS]
        print("| " + " | ".join([name, str(len(last)), *cells]) + " |")


if __name__ == "__main__":
    found = measured([Path(name) for name in sys.argv[1:]])
    print_ways(found)
    print()
    print_differences(found)
