"""Prints the tables of `reuse.md`: `python docs/results/reuse_tables.py STUDY...`, folders of studies over seeds.

A study is made by `interp study GROUP --seeds 5 --checkpoints 40`. Cross-task ablation and maps by length are measured
here, anew each time.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from analyses import CrossTaskAblation, LengthMaps, double_dissociation, only_at_transfer
from analyses.statistics.seeds import t_interval
from interp.studies.seeds import read_results
from training import Run, named_generator
from training.finding import sweep_runs

QUANTITIES = [
    ("mean_absolute_difference", "accuracy"), ("cosine", "accuracy"), ("cosine", "nll"), ("weighted_jaccard", "nll"),
    ("attention_difference", ""), ("jensen_shannon", ""), ("offset_cosine", ""),
]  # fmt: skip

WHAT = ["quantity", "metric"]
ESTIMATE = ["estimate", "corrected", "low", "high"]
ASSOCIATION = ["expected", "spearman", "detrended", "detrended_low", "detrended_high", "p", "q", "seeds_p"]
LEAD = ["reuse_step", "accuracy_step", "lead", "low", "high", "p"]


def interval(values: list[float]) -> str:
    """Mean over seeds with its 95 % t interval."""
    low, high = t_interval(values)
    return f"{np.mean(values):.2f} [{low:.2f}, {high:.2f}]"


def rows(table: pd.DataFrame, columns: list[str]) -> str:
    """A table as Markdown, numbers with two decimals, or one digit where they are small."""
    lines = ["| " + " | ".join(name.replace("_", " ") for name in columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in table[columns].itertuples(index=False)]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.2f}" if abs(value) >= 0.01 or value == 0 else f"{value:.1g}"
    return str(value)


def print_study(folder: Path) -> None:
    """All tables of one study."""
    results = read_results(folder)
    gains = results.gains[results.gains["weights"] == "averaged"]
    runs = [run for run in sweep_runs(folder) if len(run.mixture) > 1]
    seeds = sorted({run.config.seed for run in runs})
    longest = sorted({member.max_length for run in runs for member in run.mixture})
    beyond = [length for length in gains["length"] if length > longest[-1]]
    at = sorted({longest[0], (longest[0] + longest[-1]) // 2, longest[-1], *beyond})
    print(f"\n## {folder.name}: seeds {' '.join(map(str, seeds))}, averaged weights\n\n### Transfer\n")
    shown = gains[gains["length"].isin(at)]
    print(rows(shown, ["contrast", "length", "first", "second", "gain", "low", "high", "p", "q"]))
    print("\n### Generalization gap\n")
    print(rows(results.gaps, ["condition", "gap", "low", "high", "longer_accuracy", "seeds", "lengths"]))
    print("\n### Maps, over seeds, against shuffles within layers\n")
    maps = results.overlap[results.overlap["null"] == "within_layer"]
    print(rows(maps, ["condition", "second", "metric", "measure", *ESTIMATE, "null_mean", "p", "q"]))
    print("\n### Cross-task ablation\n")
    print_cross(runs)
    print("\n### Over training, all seeds\n")
    table = chosen(results.association)
    for outcome in ("gap", "accuracy"):
        print(f"\nwith {outcome}\n")
        print(rows(table[table["outcome"] == outcome], ["condition", "auxiliary", *WHAT, *ASSOCIATION]))
    print("\n### Which comes first\n")
    print(rows(chosen(results.leads), ["condition", "auxiliary", *WHAT, "seeds", *LEAD]))


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """The pooled rows of the quantities that the page shows."""
    pooled = table[table["level"] == "pooled"]
    parts = [pooled[(pooled["quantity"] == name) & (pooled["metric"] == metric)] for name, metric in QUANTITIES]
    return pd.concat(parts)


def print_cross(runs: list[Run]) -> None:
    """What each task's top heads do to the other, over seeds."""
    parts, pairs, only = [], [], []
    for run in runs:
        main, others = run.mixture[0], run.mixture[1:]
        longest = max(member.max_length for member in others)
        found = CrossTaskAblation(k=3, metric="accuracy", controls=100).effects(
            run.model(), [member.task for member in run.mixture], length=(main.max_length + longest) // 2, n=512,
            generator=named_generator(run.config.seed, "cross"),
            task_heads=[run.task_head(member.task.name) for member in run.mixture],
        )  # fmt: skip
        about = {"trained with": ", ".join(member.task.name for member in others), "run seed": run.config.seed}
        parts.append(found.table().assign(**about))
        pairs.append(double_dissociation(found).assign(**about))
        maps = LengthMaps(metric="nll").effects(
            run.model(), main.task, main_length=main.max_length, auxiliary_length=longest, n=128,
            generator=named_generator(run.config.seed, "lengths"), task_head=run.task_head(main.task.name),
        )  # fmt: skip
        only.append(only_at_transfer(maps).assign(**about))
    table = pd.concat(parts, ignore_index=True)
    print("| trained with | heads of | scored | effect | share of own | specificity | p <= .05 in |")
    print("|---|---|---|---|---|---|---|")
    for (others, ablated, scored), part in table.groupby(["trained with", "ablated", "scored"], sort=False):
        significant = f"{(part['p'] <= 0.05).sum()} of {len(part)}"
        cells = [interval(part[name].tolist()) for name in ("effect", "share", "specificity")]
        print("| " + " | ".join([str(others), str(ablated), str(scored), *cells, significant]) + " |")
    print("\n| trained with | pair | dissociation | p_both <= .05 in |\n|---|---|---|---|")
    for (others, first, second), part in pd.concat(pairs).groupby(["trained with", "first", "second"], sort=False):
        count = f"{(part['p_both'] <= 0.05).sum()} of {len(part)}"
        print(f"| {others} | {first}, {second} | {interval(part['dissociation'].tolist())} | {count} |")
    print("\n| trained with | seed | heads that matter only at transfer lengths (nll) |\n|---|---|---|")
    for (others, seed), part in pd.concat(only).groupby(["trained with", "run seed"], sort=False):
        there = part[part["only"]]
        heads = " ".join(f"{layer}.{head}" for layer, head in there[["layer", "head"]].itertuples(index=False))
        print(f"| {others} | {seed} | {heads or 'none'} |")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print_study(Path(name))
