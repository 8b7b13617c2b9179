"""A study over seeds whose tables are made of numbers: nothing is trained."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from analyses.reuse.association import association
from analyses.reuse.leads import leads
from analyses.reuse.over_training import METRICS
from analyses.transfer.gain import transfer_gains
from analyses.transfer.seed_study import SeedStudyResults, by_condition
from interp.studies.seeds import TABLES
from tests.analyses.models import seeded
from training.files import write_json, write_table

SEEDS, STEPS, LENGTHS = range(3), range(10, 101, 10), range(1, 9)
OTHER = {"auxiliary": "copy", "control": "reverse"}
MAPS = {"mean_absolute_difference": -1, "cosine": 1, "spearman": 1, "weighted_jaccard": 1}
ATTENTION = {"attention_difference": -1, "jensen_shannon": -1, "offset_cosine": 1}
TRANSFER = {"gap": -1, "accuracy": 1, "nll": -1}


def seed_results() -> SeedStudyResults:
    """The same numbers each time."""
    accuracy, trajectories = _accuracy(), _trajectories()
    return SeedStudyResults(
        accuracy=accuracy,
        gains=transfer_gains(accuracy),
        gaps=pd.DataFrame({"condition": list(OTHER), "gap": [0.2, 0.6]}),
        overlap=pd.DataFrame({"condition": list(OTHER), "measure": "cosine", "estimate": [0.9, 0.4]}),
        trajectories=trajectories,
        association=by_condition(trajectories, lambda part: association(part, draws=99, generator=seeded())),
        leads=by_condition(trajectories, leads),
    )


def written(folder: Path) -> Path:
    """The folder of a sweep that holds these tables."""
    write_json(folder / "sweep.json", {})
    for name, table in vars(seed_results()).items():
        write_table(folder / TABLES / f"{name}.parquet", table)
    return folder


def without(results: SeedStudyResults, condition: str) -> SeedStudyResults:
    """The results without the rows of a condition, where they have any."""
    tables = {name: table for name, table in vars(results).items() if "condition" in table}
    return dataclasses.replace(
        results, **{name: table[table["condition"] != condition] for name, table in tables.items()}
    )


def _accuracy() -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = [
        {
            "condition": condition, "weights": weights, "seed": seed, "length": length, "main": "shift", "n": 64,
            "main_length": 4, "accuracy": float(np.clip(1 - (length / reach) ** 4 + 0.1 * random.normal(), 0, 1)),
        }
        for condition, reach in (("auxiliary", 9), ("alone", 5), ("control", 6))
        for weights in ("raw", "averaged")
        for seed in SEEDS
        for length in LENGTHS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _trajectories() -> pd.DataFrame:
    random = np.random.default_rng(1)
    about = [(name, metric, "reuse", sign) for name, sign in MAPS.items() for metric in METRICS]
    about += [(name, "", "reuse", sign) for name, sign in ATTENTION.items()]
    about += [(name, "", "transfer", sign) for name, sign in TRANSFER.items()]
    rows = []
    for condition, other in OTHER.items():
        for seed in SEEDS:
            course = np.abs(random.normal(size=len(STEPS)).cumsum())
            for quantity, metric, role, sign in about:
                values = 5 + sign * course + 0.3 * random.normal(size=len(STEPS))
                rows += [
                    {
                        "run": f"{condition}{seed}", "main": "shift", "auxiliary": other, "seed": seed,
                        "weights": "averaged", "step": step, "role": role, "quantity": quantity, "metric": metric,
                        "alike": sign, "value": value, "length": 6, "lengths": "", "n": 32, "condition": condition,
                    }
                    for step, value in zip(STEPS, values, strict=True)
                ]  # fmt: skip
    return pd.DataFrame(rows)
