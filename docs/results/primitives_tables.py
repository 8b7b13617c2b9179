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

READ = [
    ("prompt", "same", "encoder", "none"), ("end", "minimum", "decoder", "final"),
    ("answer", "successor", "decoder", "final"), ("answer", "identity_successor", "decoder", "final"),
]  # fmt: skip
"""What the lens is read for: positions, target, basis and norm."""


def measured(run: Run, *, length: int, n: int) -> tuple[pd.DataFrame, ...]:
    """The table of primitives, one of other examples that chooses heads, and that of the lens, of the main task."""
    task, found = run.mixture[0].task, Primitives(permutations=3_000)
    drawn = {"length": length, "n": n, "task_head": run.task_head(task.name)}
    tables = []
    for name, analysis in (("primitives", found), ("choosing", Primitives(permutations=1)), ("lens", ResidualLens())):
        key = {"analysis": repr(analysis), **drawn, "weights": run.digest(), "version": version("interp-toolkit")}

        def compute(name: str = name, analysis: Primitives | ResidualLens = analysis) -> pd.DataFrame:
            generator = named_generator(run.config.seed, name)
            return analysis(run.model(), task, generator=generator, **drawn)

        tables.append(stored_table(run.path / "results", f"{name}-{task.name}", key, compute))
    return tuple(table.assign(**about(run)) for table in tables)


def about(run: Run) -> dict[str, object]:
    """What a run was trained with."""
    others = ", ".join(member.task.name for member in run.mixture[1:])
    softmax = {"none": "plain", "log_n": "tempered"}[run.config.model.temperature]
    return {"trained with": others or "(alone)", "softmax": softmax, "run seed": run.config.seed}


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
    parser.add_argument("--length", type=int, default=12)
    parser.add_argument("--n", type=int, default=128)
    chosen = parser.parse_args()
    runs = [run for run in sweep_runs(chosen.sweep) if run.mixture[0].task.name == "sort"]
    found = [measured(run, length=chosen.length, n=chosen.n) for run in runs]
    heads, choosing, lens = (pd.concat(parts, ignore_index=True) for parts in zip(*found, strict=True))
    print_heads(heads, choosing)
    print()
    print_lens(lens)


if __name__ == "__main__":
    main()
