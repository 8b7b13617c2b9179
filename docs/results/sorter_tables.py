"""Prints more tables of `primitives.md`: `python -m docs.results.sorter_tables SWEEP`.

SWEEP is the folder of `interp sweep docs/results/grids/sorting.toml` (or `sorting-repeats.toml`). Accuracy by length;
the primitives that `sort` and `successor` share, by `shared_primitives`; and what probes read of `sort`; over seeds.
What is missing is measured and kept (`sorters.py`).
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from analyses.primitives.shared import shared_by_chance
from analyses.probing.token_labels import first_of
from docs.results.primitives_tables import interval
from docs.results.sorters import KINDS, LABELS, LENGTH, N, about, primitives, probe
from training import ModelConfig, Run, named_generator
from training.finding import sweep_runs

SHARED = ("copy", "successor", "identity_successor", "previous_token")


def print_accuracy(runs: list[Run]) -> None:
    """Exact match of `sort` by length, averaged weights, mean over seeds with its t interval."""
    parts = [run.metrics.assign(**about(run)) for run in runs]
    table = pd.concat(parts, ignore_index=True)
    last = table[(table["task"] == "sort") & (table["weights"] == "averaged") & (table["step"] == table["step"].max())]
    lengths = sorted(last["length"].unique())
    print("| trained with | softmax | seeds | " + " | ".join(map(str, lengths)) + " |")
    print("|" + "---|" * (3 + len(lengths)))
    for kind, part in last.groupby(KINDS, sort=False):
        wide = part.pivot(index="length", columns="run seed", values="accuracy")
        cells = [interval(wide.loc[length].tolist()) for length in lengths]
        print("| " + " | ".join([*map(str, kind), str(wide.shape[1]), *cells]) + " |")


def print_shared(runs: list[Run]) -> None:
    """Heads that implement a primitive in either task and in both, by model; then how likely so many are by chance.

    Chance: the heads that implement it in either task are drawn at random within each layer, as many as there are.
    Over models the shared heads are added up.
    """
    print("| softmax | seed | primitive | heads in sort | in successor | in both | p |")
    print("|---|---|---|---|---|---|---|")
    chances: dict[tuple[object, str], tuple[int, np.ndarray]] = {}
    for run in runs:
        tables, kind = [primitives(run, task) for task in ("sort", "successor")], about(run)
        for name in [name for name in SHARED if all((one["primitive"] == name).any() for one in tables)]:
            held = [_implementing(table, name) for table in tables]
            if not any(held):
                continue
            shared = len(held[0] & held[1])
            found, before = _by_chance(*held, run.config.model), (kind["softmax"], name)
            told = f"{found[shared:].sum():.3f}" if all(held) else "-"
            print(
                f"| {kind['softmax']} | {kind['run seed']} | {name} | {_heads(held[0])} | {_heads(held[1])} | "
                f"{_heads(held[0] & held[1])} | {told} |"
            )
            total, sums = chances.get(before, (0, np.ones(1)))
            chances[before] = (total + shared, np.convolve(sums, found))
    for (softmax, name), (total, sums) in chances.items():
        print(f"\n{softmax}, {name}: {total} heads shared over all models, p = {sums[total:].sum():.2g}")


def _implementing(table: pd.DataFrame, name: str) -> set[tuple[int, int]]:
    part = table[(table["primitive"] == name) & (table["verdict"] == "implements")]
    return set(zip(part["layer"], part["head"], strict=True))


def _by_chance(one: set[tuple[int, int]], other: set[tuple[int, int]], config: ModelConfig) -> np.ndarray:
    layers = range(config.n_layers)
    counts = [np.array([sum(head[0] == layer for head in heads) for layer in layers]) for heads in (one, other)]
    return shared_by_chance(np.full(config.n_layers, config.n_heads), first=counts[0], second=counts[1])


def print_query(runs: list[Run]) -> None:
    """Of `successor`: attention of the query's number on its successor, and of the `=` on the query, largest head."""
    print("| softmax | seed | layer | query on its successor | = on its successor | = on the query |")
    print("|---|---|---|---|---|---|")
    for run in runs:
        model = run.model()
        task = run.task("successor").bind(model.vocabulary)
        batch = task.sample(N, length=LENGTH, generator=named_generator(run.config.seed, "query"))
        _, cache = model.run_with_cache(batch.tokens)
        end = first_of(batch.tokens == task.vocabulary.index["="])
        rows = torch.arange(N)
        answer = batch.tokens[rows, end + 1]
        places = torch.arange(batch.tokens.shape[1])
        source = (batch.tokens == answer[:, None]) & (places < end[:, None])
        for layer in range(model.config.n_layers):
            pattern = cache["pattern", layer]
            reading = [(pattern[rows, :, query] * source[:, None]).sum(-1) for query in (end - 1, end)]
            found = [*reading, pattern[rows, :, end, end - 1]]
            cells = [f"{masses.mean(0).max().item():.2f}" for masses in found]
            print(f"| {about(run)['softmax']} | {run.config.seed} | {layer} | {' | '.join(cells)} |")


def _heads(heads: set[tuple[int, int]]) -> str:
    return " ".join(f"{layer}.{head}" for layer, head in sorted(heads)) or "none"


def print_probes(runs: list[Run]) -> None:
    """Accuracy of probes behind each sub-layer, with selectivity and the untrained model's accuracy."""
    for label, positions in LABELS.items():
        table = pd.concat([probe(run, label) for run in runs], ignore_index=True)
        sites = list(dict.fromkeys(zip(table["layer"], table["site"], strict=True)))
        print(f"\n{label} at {positions}: accuracy; selectivity; compression; untrained accuracy")
        print("| trained with | softmax | read | " + " | ".join(f"{layer} {site}" for layer, site in sites) + " |")
        print("|" + "---|" * (3 + len(sites)))
        for kind, part in table.groupby(KINDS, sort=False):
            for value in ("accuracy", "selectivity", "compression", "untrained_accuracy"):
                by = part.set_index(["layer", "site"])[value]
                cells = [interval(by.loc[[site]].tolist()) for site in sites]
                print("| " + " | ".join([*map(str, kind), value, *cells]) + " |")


def main() -> None:
    """Measures what is missing, and prints."""
    runs = [run for run in sweep_runs(Path(sys.argv[1])) if run.mixture[0].task.name == "sort"]
    print_accuracy(runs)
    print()
    print_shared([run for run in runs if "successor" in [member.task.name for member in run.mixture]])
    print()
    print_query([run for run in runs if "successor" in [member.task.name for member in run.mixture]])
    print_probes(runs)


if __name__ == "__main__":
    main()
