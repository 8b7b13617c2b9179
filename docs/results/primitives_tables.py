"""Prints the tables of `primitives.md`: `python docs/results/primitives_tables.py SWEEP [--length 12] [--n 128]`.

SWEEP is the folder of `interp sweep docs/results/grids/sorting.toml`. Of every run: `Primitives` and `ResidualLens` of
`sort`, kept in the run's results; then over seeds.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from analyses import Primitives, ResidualLens
from analyses.statistics.seeds import t_interval
from analyses.store import stored_table
from training import Run, named_generator
from training.finding import sweep_runs

KINDS = ["trained with", "softmax"]


def measured(run: Run, *, length: int, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table of primitives and that of the lens, of the main task."""
    task, found = run.mixture[0].task, Primitives(permutations=3_000)
    drawn = {"length": length, "n": n, "task_head": run.task_head(task.name)}
    tables = []
    for name, analysis in (("primitives", found), ("lens", ResidualLens())):
        key = {"analysis": repr(analysis), **drawn, "weights": run.digest(), "version": version("interp-toolkit")}

        def compute(name: str = name, analysis: Primitives | ResidualLens = analysis) -> pd.DataFrame:
            generator = named_generator(run.config.seed, name)
            return analysis(run.model(), task, generator=generator, **drawn)

        tables.append(stored_table(run.path / "results", f"{name}-{task.name}", key, compute))
    return tables[0].assign(**about(run)), tables[1].assign(**about(run))


def about(run: Run) -> dict[str, object]:
    """What a run was trained with."""
    others = ", ".join(member.task.name for member in run.mixture[1:])
    softmax = {"none": "plain", "log_n": "tempered"}[run.config.model.temperature]
    return {"trained with": others or "(alone)", "softmax": softmax, "run seed": run.config.seed}


def interval(values: list[float]) -> str:
    """Mean over seeds with its 95 % t interval, not cut off."""
    low, high = t_interval(values)
    return f"{sum(values) / len(values):.2f} [{low:.2f}, {high:.2f}]"


def print_heads(table: pd.DataFrame) -> None:
    """How often a layer has heads that implement a primitive, and the strongest head's evidence."""
    print("| trained with | softmax | primitive | layer | heads that implement it | in seeds | mass | effect (nats) |")
    print("|---|---|---|---|---|---|---|---|")
    by = [*KINDS, "primitive", "layer"]
    for (others, softmax, primitive, layer), part in table.groupby(by, sort=False):
        called = part[part["verdict"] == "implements"].groupby("run seed").size()
        seeds = part["run seed"].nunique()
        strongest = part.loc[part.groupby("run seed")["effect"].idxmax()]
        mass, effect = (interval(strongest[name].tolist()) for name in ("mass", "effect"))
        heads = f"{called.sum() / seeds:.1f}"
        print(
            f"| {others} | {softmax} | {primitive} | {layer} | {heads} | {len(called)} of {seeds} | {mass} | {effect} |"
        )


def print_lens(table: pd.DataFrame, columns: list[str]) -> None:
    """A column of the lens by stage, over seeds."""
    print("| " + " | ".join([*KINDS, *columns, "estimate [95 %]"]) + " |\n" + "|---" * (len(columns) + 3) + "|")
    for key, part in table.groupby([*KINDS, *columns], sort=False):
        values = part.groupby("run seed")["probability"].mean().tolist()
        print("| " + " | ".join(map(str, key)) + f" | {interval(values)} |")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--length", type=int, default=12)
    parser.add_argument("--n", type=int, default=128)
    chosen = parser.parse_args()
    runs = [run for run in sweep_runs(chosen.sweep) if run.mixture[0].task.name == "sort"]
    found = [measured(run, length=chosen.length, n=chosen.n) for run in runs]
    heads, lens = (pd.concat(parts, ignore_index=True) for parts in zip(*found, strict=True))
    print_heads(heads)
    print()
    print(lens.head().to_string())


if __name__ == "__main__":
    main()
