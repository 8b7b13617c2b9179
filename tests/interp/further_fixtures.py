"""Extras, studies over seeds and runs to compare, made up for tests of their pages: any shape, any names."""

import dataclasses
import functools

import numpy as np
import pandas as pd

from analyses.transfer.seed_study import SeedStudyResults
from interp.findings.extras import Extras
from interp.findings.runs import RunFindings
from interp.findings.seeds import SeedFindings
from tests.interp.page_fixtures import MadeUp, overlap_table, study_results
from tests.interp.seed_results import seed_results

_OVER_SEEDS = functools.cache(seed_results)
_PLAIN = MadeUp()

PRIMITIVE = {
    "task": "shift", "length": 15, "primitive": "offset_copy", "layer": 2, "head": 10, "verdict": "implements",
    "share": 0.9, "share_chance": 0.1, "write_tokens": 0.25, "write_values": 0.75, "write_chance": 0.05,
    "effect": 1.5, "effect_stderr": 0.25, "cut": -0.5, "cut_stderr": 0.125, "q": 0.004,
}  # fmt: skip

SHARED = {
    "primitive": "offset_copy", "layer": 2, "head": 10, "first_heads": 2, "second_heads": 1, "p": 0.0312,
}  # fmt: skip

CROSS = {
    "ablated": "shift", "scored": "copy", "heads": "0.3 2.1", "effect": 0.5, "low": 0.4, "high": 0.6, "share": 0.75,
    "control_mean": 0.1, "control_low": 0.0, "control_high": 0.3, "q": 0.01,
}  # fmt: skip


def extras(run: str = "demo", *, main: str = "shift", auxiliary: str = "copy") -> Extras:
    """All that a run's folder can hold, in a few rows."""
    results, steps = _OVER_SEEDS(), pd.DataFrame({"size": [0.001, 0.1, 1.0], "faithfulness": [0.1, 0.6, 1.0]})
    primitives = [PRIMITIVE | {"task": main}, PRIMITIVE | {"task": auxiliary, "verdict": "attends only", "head": 1}]
    curve = steps.assign(task=main, low=steps["faithfulness"] - 0.1, high=steps["faithfulness"] + 0.1)
    edges = [{"task": main, "sender": "0.1", "receiver": "logits", "score": score} for score in (0.5, -2.0)]
    return Extras(
        run=run,
        primitives=pd.DataFrame(primitives),
        shared_primitives=pd.DataFrame([SHARED]),
        trajectories=results.trajectories.query("condition == 'auxiliary'").drop(columns="condition"),
        association=results.association.query("condition == 'auxiliary'"),
        leads=results.leads.query("condition == 'auxiliary'"),
        cross=pd.DataFrame([CROSS | {"ablated": main, "scored": auxiliary}]),
        circuit=curve,
        edges=pd.DataFrame(edges),
    )


def seed_findings(made_up: MadeUp = _PLAIN, *, name: str = "seeds") -> SeedFindings:
    """A study over three seeds; the maps of all are alike."""
    overlap = pd.concat(
        [
            overlap_table(made_up.main, others).assign(condition=condition, seeds=3)
            for condition, others in (("auxiliary", made_up.auxiliaries), ("control", made_up.controls))
        ],
        ignore_index=True,
    )
    base = _OVER_SEEDS()
    gaps = base.gaps.assign(auxiliary_length=8)
    renamed = {
        field.name: _renamed(getattr(base, field.name), made_up) for field in dataclasses.fields(SeedStudyResults)
    }
    results = SeedStudyResults(**(renamed | {"overlap": overlap, "gaps": gaps}))
    table = study_results(made_up).ablation
    seeds = sorted(results.accuracy["seed"].unique())
    primitives = pd.DataFrame([PRIMITIVE | {"task": made_up.main, "seed": seed} for seed in seeds])
    primitives.loc[1, "verdict"] = "none"
    return SeedFindings(
        name=name,
        command=f"interp study group --seeds 3 --name '{name}'",
        results=results,
        transfer_length=6,
        ablation=pd.concat([table.assign(seed=seed) for seed in seeds], ignore_index=True),
        primitives=primitives,
        shared_primitives=pd.DataFrame([SHARED | {"seed": 0}, SHARED | {"seed": 2}]),
        settings={"model.n_layers": made_up.layers},
    )


def run_findings(label: str, made_up: MadeUp = _PLAIN, *, name: str = "demo/auxiliary", seed: int = 0) -> RunFindings:
    """One run of a comparison."""
    results = study_results(made_up)
    accuracy = results.accuracy.query("condition == 'auxiliary' and weights == 'averaged'")
    tasks = (made_up.main, *made_up.auxiliaries)
    return RunFindings(
        label=label,
        name=name,
        tasks=tasks,
        trained=(10, *(20 for _ in made_up.auxiliaries)),
        length=15,
        accuracy=accuracy,
        ablation=results.ablation,
        overlap=results.overlap if len(tasks) > 1 else pd.DataFrame(),
        settings={"seed": seed, "model.n_layers": made_up.layers},
    )


def _renamed(table: pd.DataFrame, made_up: MadeUp) -> pd.DataFrame:
    names = {"shift": made_up.main, "copy": made_up.auxiliaries[0], "reverse": [*made_up.controls, "reverse"][0]}
    columns = [column for column in ("main", "auxiliary", "task") if column in table]
    return table.assign(**{column: table[column].map(names) for column in columns}).replace({np.inf: np.nan})
