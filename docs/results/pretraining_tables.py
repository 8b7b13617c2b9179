"""The tables of `pretraining.md`: `python -m docs.results.pretraining_tables SWEEP [--processes 16]`.

Reuse before and after finetuning is measured for each run, several at a time, and kept with the run, so that asking
again, and `interp pretraining`, read it.
"""

import argparse
import multiprocessing
from pathlib import Path

import pandas as pd
import torch

from analyses.pretraining import (
    Finetuned,
    PretrainingReuse,
    finetuned_accuracy,
    finetuned_runs,
    over_pretraining,
    pretraining_association,
    pretraining_gains,
    pretraining_transfer,
)
from docs.results.reuse_tables import rows
from tasks import get_group
from training import named_generator
from training.conditions import transfer_length

POINT = ["group", "condition", "pretraining_step", "seed"]


def measured(one: Finetuned) -> pd.DataFrame:
    """Reuse of one run, on one thread."""
    torch.set_num_threads(1)
    return PretrainingReuse()(one)


def all_reuse(runs: list[Finetuned], *, processes: int) -> pd.DataFrame:
    """Reuse of every run with auxiliaries."""
    paired = [one for one in runs if len(one.run.mixture) > 1]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return pd.concat(pool.map(measured, paired, chunksize=1), ignore_index=True)


def print_tables(folder: Path, *, processes: int) -> None:
    """All tables of a sweep."""
    runs = finetuned_runs(folder)
    accuracy = finetuned_accuracy(runs)
    transfer, reuse = pretraining_transfer(accuracy), all_reuse(runs, processes=processes)
    print("## Beyond the main task's lengths\n")
    beyond = transfer[transfer["quantity"] == "beyond"]
    print(rows(over_pretraining(beyond, by=["group", "condition"]), [*POINT[:3], "mean", "low", "high", "seeds"]))
    print("\n## Gain of the auxiliary at the transfer length\n")
    gains = pretraining_gains(accuracy)
    lengths = {group: transfer_length(get_group(group)) for group in gains["group"].unique()}
    at = gains[(gains["length"] == gains["group"].map(lengths)) & (gains["contrast"] == "auxiliary - alone")]
    print(rows(at, ["group", "pretraining_step", "length", "first", "second", "gain", "low", "high", "p"]))
    print("\n## Reuse, mean over auxiliaries\n")
    means = pd.DataFrame(reuse.groupby([*POINT, "quantity", "when"], as_index=False)["value"].mean())
    by = ["group", "quantity", "when"]
    print(rows(over_pretraining(means, by=by), [*by, "pretraining_step", "mean", "low", "high", "seeds"]))
    print("\n## Association with the pretraining step\n")
    outcomes = pd.concat([transfer, means.assign(quantity=means["quantity"] + ", " + means["when"])], ignore_index=True)
    by = ["group", "condition", "quantity"]
    found = pretraining_association(outcomes, by=by, generator=named_generator(0, "pretraining"))
    print(rows(found, [*by, "spearman", "low", "high", "p", "q", "p_within", "checkpoints", "seeds"]))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Print the tables of docs/results/pretraining.md.")
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    print_tables(asked.sweep, processes=asked.processes)


if __name__ == "__main__":
    main()
