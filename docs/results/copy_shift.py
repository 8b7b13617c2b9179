"""Prints the tables of copy-shift.md from five finished studies: `python docs/results/copy_shift.py [RUNS]`.

They are made by `for s in 11 12 13 14 15; do interp study copy+shift --seed $s; done`.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from analyses.study import open_study
from training import load_run

LENGTH = 15
SEEDS = range(11, 16)
CONDITIONS = ("auxiliary", "alone", "control")


def accuracies(root: Path, task: str) -> pd.DataFrame:
    """Exact match of a task by seed, condition, weights and length, from each study's stored results."""
    tables = []
    for seed in SEEDS:
        folder = root / f"copy+shift-small-seed{seed}"
        study = open_study(folder)
        runs = {condition: load_run(folder / condition) for condition in CONDITIONS}
        results = study.measure(folder, runs, command="")
        tables.append(results.accuracy.assign(seed=seed))
    table = pd.concat(tables, ignore_index=True)
    return table[table["task"] == task]


def interval(values: np.ndarray) -> str:
    """Mean over seeds with its 95 % t interval."""
    mean, half = values.mean(), student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{mean:.2f} [{mean - half:.2f}, {mean + half:.2f}]"


def seed_table(table: pd.DataFrame, weights: str) -> str:
    """One row per seed: accuracy at the transfer length in the three conditions, and the two differences."""
    at = table[(table["length"] == LENGTH) & (table["weights"] == weights)]
    wide = at.pivot_table(index="seed", columns="condition", values="accuracy")[list(CONDITIONS)]
    wide["gain"] = wide["auxiliary"] - wide["alone"]
    wide["control - alone"] = wide["control"] - wide["alone"]
    lines = [
        "| seed | with `copy` | alone | with `reverse` (control) | gain | control - alone |",
        "|---|---|---|---|---|---|",
    ]
    for seed, row in zip(wide.index, wide.to_numpy(), strict=True):
        lines.append(f"| {seed} | " + " | ".join(f"{value:.3f}" for value in row) + " |")
    lines.append("| mean, 95 % interval | " + " | ".join(interval(column) for column in wide.to_numpy().T) + " |")
    return "\n".join(lines)


def length_table(table: pd.DataFrame) -> str:
    """Mean over seeds of averaged-weights accuracy, by length and condition."""
    at = table[(table["weights"] == "averaged") & (table["length"] >= 9)]
    lines = ["| length | with `copy` | alone | with `reverse` |", "|---|---|---|---|"]
    for length, rows in at.groupby("length"):
        cells = [interval(rows[rows["condition"] == condition]["accuracy"].to_numpy()) for condition in CONDITIONS]
        lines.append(f"| {length} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main_task = accuracies(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"), "shift")
    for kind in ("averaged", "raw"):
        print(f"\n### {kind} weights, exact match at length {LENGTH}\n\n{seed_table(main_task, kind)}")
    print(f"\n### by length, averaged weights, mean over seeds\n\n{length_table(main_task)}")
