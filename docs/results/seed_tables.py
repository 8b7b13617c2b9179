"""Prints the tables of the result pages: `python docs/results/seed_tables.py FOLDER...`, finished studies of a group.

The studies are made by `for s in 11 12 13; do interp study GROUP --seed $s; done`, and differ in their seed only.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from analyses.transfer.study import Study, open_study
from training import load_run
from training.conditions import CONDITIONS

MEASURES = ("cosine", "spearman", "jaccard")


def measured(folders: list[Path]) -> tuple[Study, pd.DataFrame, pd.DataFrame]:
    """The last study, and of all: exact match of the main task, and the overlap with each auxiliary."""
    accuracy, overlap = [], []
    for folder in folders:
        study = open_study(folder)
        results = study.measure(folder, {name: load_run(folder / name) for name in study.conditions}, command="")
        main = results.accuracy[results.accuracy["task"] == results.main]
        accuracy.append(main.assign(seed=study.seed))
        overlap.append(results.overlap.assign(seed=study.seed))
    return study, pd.concat(accuracy, ignore_index=True), pd.concat(overlap, ignore_index=True)


def interval(values: np.ndarray) -> str:
    """Mean over seeds with its 95 % t interval."""
    mean, half = values.mean(), student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{mean:.2f} [{mean - half:.2f}, {mean + half:.2f}]"


def headings(study: Study) -> list[str]:
    """What each condition is called in a table."""
    names = {
        "auxiliary": "with " + ", ".join(f"`{member.task.name}`" for member in study.group.auxiliaries),
        "alone": "alone",
        "control": "with " + ", ".join(f"`{member.task.name}`" for member in study.group.controls) + " (control)",
    }
    return [names[condition] for condition in study.conditions]


def seed_table(study: Study, accuracy: pd.DataFrame, weights: str) -> str:
    """One row per seed: accuracy at the transfer length in each condition, and the differences from training alone."""
    at = accuracy[(accuracy["length"] == study.transfer_length) & (accuracy["weights"] == weights)]
    wide = at.pivot_table(index="seed", columns="condition", values="accuracy")[list(study.conditions)]
    wide["gain"] = wide["auxiliary"] - wide["alone"]
    columns = [*headings(study), "gain"]
    if "control" in study.conditions:
        wide["control - alone"] = wide["control"] - wide["alone"]
        columns.append("control - alone")
    lines = ["| seed | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 1)]
    for seed, row in zip(wide.index, wide.to_numpy(), strict=True):
        lines.append(f"| {seed} | " + " | ".join(f"{value:.3f}" for value in row) + " |")
    lines.append("| mean, 95 % interval | " + " | ".join(interval(column) for column in wide.to_numpy().T) + " |")
    return "\n".join(lines)


def length_table(study: Study, accuracy: pd.DataFrame) -> str:
    """Mean over seeds of averaged-weights accuracy, by length and condition, from the main task's longest length on."""
    at = accuracy[(accuracy["weights"] == "averaged") & (accuracy["length"] >= study.group.main.max_length - 1)]
    lines = ["| length | " + " | ".join(headings(study)) + " |", "|" + "---|" * (len(study.conditions) + 1)]
    for length, rows in at.groupby("length"):
        cells = [interval(rows[rows["condition"] == name]["accuracy"].to_numpy()) for name in study.conditions]
        lines.append(f"| {length} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def overlap_table(overlap: pd.DataFrame, metric: str) -> str:
    """One row per seed and auxiliary: each measure with its interval, and p against shuffles within layers."""
    lines = [
        "| seed | tasks | " + " | ".join(f"{name} [95 %] (p)" for name in MEASURES) + " |",
        "|---|---|---|---|---|",
    ]
    chosen = overlap[(overlap["metric"] == metric) & (overlap["null"] == "within_layer")]
    for (seed, first, second), rows in chosen.groupby(["seed", "first", "second"]):
        found = rows.set_index("measure")
        values = (found.loc[name, ["estimate", "low", "high", "p"]] for name in MEASURES)
        cells = [f"{estimate:.2f} [{low:.2f}, {high:.2f}] ({p:.2g})" for estimate, low, high, p in values]
        lines.append(f"| {seed} | `{first}`, `{second}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"name two or more study folders, one per seed; their conditions are {', '.join(CONDITIONS)}")
    found_study, found_accuracy, found_overlap = measured([Path(folder) for folder in sys.argv[1:]])
    for kind in ("averaged", "raw"):
        print(f"\n### {kind} weights, exact match at length {found_study.transfer_length}\n")
        print(seed_table(found_study, found_accuracy, kind))
    print(f"\n### by length, averaged weights, mean over seeds\n\n{length_table(found_study, found_accuracy)}")
    for name in ("accuracy", "nll"):
        print(f"\n### overlap of the ablation maps, {name}\n\n{overlap_table(found_overlap, name)}")
