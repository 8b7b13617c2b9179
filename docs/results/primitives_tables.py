"""Prints tables of `primitives.md`: `python -m docs.results.primitives_tables SWEEP [--length 12] [--n 128]`.

SWEEP is the folder of `interp sweep docs/results/grids/sorting.toml`. Of every run: `Primitives` and `ResidualLens` of
`sort`; then over seeds. The tables of heads that two tasks share and of probes: `sorter_tables.py`.
"""

import argparse
from pathlib import Path

import pandas as pd

from analyses.statistics.seeds import t_interval
from docs.results.sorters import KINDS, LENGTH, N, choosing, lens, primitives
from training.finding import sweep_runs

READ = [
    ("prompt", "same", "encoder", "none"), ("end", "minimum", "decoder", "final"),
    ("answer", "successor", "decoder", "final"), ("answer", "identity_successor", "decoder", "final"),
]  # fmt: skip
"""What the lens is read for: positions, target, basis and norm."""


def interval(values: list[float]) -> str:
    """Mean over seeds with its 95 % t interval, not cut off."""
    if len(values) < 2:
        return f"{values[0]:.2f}"
    low, high = t_interval(values)
    return f"{sum(values) / len(values):.2f} [{low:.2f}, {high:.2f}]"


def choose(table: pd.DataFrame, kind: tuple[object, ...]) -> pd.DataFrame:
    """Each seed's head of greatest effect."""
    part = table[(table[[*KINDS, "primitive", "layer"]] == list(kind)).all(axis=1)]
    return part.loc[part.groupby("run seed")["effect"].idxmax(), ["run seed", "head"]]


def print_heads(table: pd.DataFrame, choosing: pd.DataFrame) -> None:
    """How often a layer has heads that implement a primitive, and the evidence of the head that others choose."""
    print("| trained with | softmax | primitive | layer | heads that implement it | in seeds | mass | effect (nats) |")
    print("|---|---|---|---|---|---|---|---|")
    by = [*KINDS, "primitive", "layer"]
    for (others, softmax, primitive, layer), part in table.groupby(by, sort=False):
        called = part[part["verdict"] == "implements"].groupby("run seed").size()
        seeds = part["run seed"].nunique()
        strongest = part.merge(choose(choosing, (others, softmax, primitive, layer)))
        mass, effect = (interval(strongest[name].tolist()) for name in ("mass", "effect"))
        heads = f"{called.sum() / seeds:.1f}"
        print(
            f"| {others} | {softmax} | {primitive} | {layer} | {heads} | {len(called)} of {seeds} | {mass} | {effect} |"
        )


def print_lens(table: pd.DataFrame) -> None:
    """Ranks of some targets behind every sub-layer, over seeds."""
    read = pd.DataFrame(READ, columns=["positions", "target", "basis", "norm"])
    chosen = table.merge(read)
    stages = [
        f"{layer} {site}" if pd.notna(layer) else site
        for layer, site in zip(chosen["layer"], chosen["site"], strict=True)
    ]
    chosen = chosen.assign(stage=stages)
    stages = list(dict.fromkeys(chosen["stage"]))
    print("| trained with | softmax | positions | target | basis | " + " | ".join(stages) + " |")
    print("|" + "---|" * (5 + len(stages)))
    for key, part in chosen.groupby([*KINDS, "positions", "target", "basis"], sort=False):
        ranks = part.groupby(["stage", "run seed"])["rank"].mean().unstack("run seed")
        cells = [interval(ranks.loc[stage].tolist()) for stage in stages]
        print("| " + " | ".join([*map(str, key), *cells]) + " |")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--length", type=int, default=LENGTH)
    parser.add_argument("--n", type=int, default=N)
    chosen = parser.parse_args()
    runs = [run for run in sweep_runs(chosen.sweep) if run.mixture[0].task.name == "sort"]
    heads, others, read = (
        pd.concat([measure(run, "sort", length=chosen.length, n=chosen.n) for run in runs], ignore_index=True)
        for measure in (primitives, choosing, lens)
    )
    print_heads(heads, others)
    print()
    print_lens(read)


if __name__ == "__main__":
    main()
