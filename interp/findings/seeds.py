"""What a study over seeds found, gathered for its page: its tables, its runs' ablation maps and primitives."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from analyses.reuse.over_training import METRICS
from analyses.reuse.run_effects import Measured, run_effects
from analyses.transfer.seed_study import ABLATION, SeedStudyResults
from interp.findings.extras import Extras, Missing, with_primitives
from interp.panels.sources import command
from tasks import BrokenRunError
from training import Run
from training.files import read_json, read_table
from training.finding import SWEEP, sweep_runs

TABLES = "tables"
"""The folder, in a study's, of the tables that were made of it."""


@dataclass(frozen=True)
class SeedFindings:
    """A study over seeds, with all that its page shows.

    Attributes:
        name: The name by which commands know the study.
        command: The command that reproduces it; empty if the folder does not say.
        results: Its tables.
        transfer_length: Where transfer is judged and maps are made; 0 if no map says.
        ablation: `HeadEffects.table` of every run with the auxiliaries, with `seed`.
        primitives: `Primitives` of every such run, with `seed`.
        shared_primitives: `shared_primitives` of main and first auxiliary, with `seed`.
        no_primitives: Why there are none.
        settings: The configuration that all runs have in common.
    """

    name: str
    command: str
    results: SeedStudyResults
    transfer_length: int
    ablation: pd.DataFrame = field(default_factory=pd.DataFrame)
    primitives: pd.DataFrame = field(default_factory=pd.DataFrame)
    shared_primitives: pd.DataFrame = field(default_factory=pd.DataFrame)
    no_primitives: str = ""
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def main(self) -> str:
        """The main task."""
        return str(self.results.accuracy["main"].iloc[0])

    def others(self, condition: str) -> list[str]:
        """The tasks that the main one was trained with in a condition."""
        table = self.results.trajectories
        return [str(task) for task in dict.fromkeys(table.loc[table["condition"] == condition, "auxiliary"])]

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return sorted(int(seed) for seed in self.results.accuracy["seed"].unique())


def read_results(folder: Path) -> SeedStudyResults:
    """The tables of a finished study over seeds.

    Raises:
        BrokenRunError: There are none, or one is damaged.
    """
    names = [one.name for one in dataclasses.fields(SeedStudyResults)]
    missing = [name for name in names if not (folder / TABLES / f"{name}.parquet").is_file()]
    if missing:
        raise BrokenRunError(
            f"{str(folder)!r} has no tables of a study over seeds; 'interp study GROUP --seeds 5' makes them"
        )
    return SeedStudyResults(**{name: read_table(folder / TABLES / f"{name}.parquet") for name in names})


def seed_findings(
    folder: Path, name: str, *, missing: Missing = "leave", on_stage: Callable[[str], object] = lambda _: None
) -> SeedFindings:
    """Reads what a study over seeds left in its folder.

    Args:
        folder: The study's folder.
        name: How commands know it.
        missing: Whether primitives are measured if they are missing.
        on_stage: Told what is being measured.

    Raises:
        BrokenRunError: The folder has no tables of such a study.
    """
    results = read_results(folder)
    length = int(results.overlap["length"].iloc[0]) if "length" in results.overlap else 0
    findings = SeedFindings(name, _command(folder, name), results, length)
    runs = [run for run in sweep_runs(folder) if _is_auxiliary(run, findings)]
    if not runs or not length:
        return findings
    ablation = [_maps(run, length, n=int(results.overlap["n"].iloc[0])) for run in runs]
    findings = dataclasses.replace(
        findings, ablation=pd.concat(ablation, ignore_index=True), settings=_settings(runs[0])
    )
    return _with_primitives(findings, runs, missing, on_stage)


def _with_primitives(
    findings: SeedFindings, runs: Sequence[Run], missing: Missing, on_stage: Callable[[str], object]
) -> SeedFindings:
    found: list[Extras] = []
    for run in runs:
        if missing == "measure":
            on_stage(f"primitives, seed {run.config.seed}")
        found.append(with_primitives(Extras(), run, missing=missing))
    if not all(len(one.primitives) or one.no_primitives for one in found):
        return findings
    refused = [one.no_primitives for one in found if one.no_primitives]
    if refused:
        return dataclasses.replace(findings, no_primitives=refused[0])
    tables: dict[str, list[pd.DataFrame]] = {
        name: [getattr(one, name).assign(seed=run.config.seed) for one, run in zip(found, runs, strict=True)]
        for name in ("primitives", "shared_primitives")
    }
    whole = {name: pd.concat([one for one in parts if len(one)] or parts[:1]) for name, parts in tables.items()}
    return dataclasses.replace(findings, **whole)


def _is_auxiliary(run: Run, findings: SeedFindings) -> bool:
    names = [member.task.name for member in run.mixture]
    return run.config.seed in findings.seeds and names == [findings.main, *findings.others("auxiliary")]


def _maps(run: Run, length: int, *, n: int) -> pd.DataFrame:
    """The run's maps, which the study has kept with it."""
    measured = Measured(length, n, run.config.seed)
    tables = [
        effects.table()
        for member in run.mixture
        for effects in run_effects(run, member.task, measured, ablation=ABLATION, also=METRICS[1:])
    ]
    return pd.concat(tables, ignore_index=True).assign(seed=run.config.seed)


def _settings(run: Run) -> dict[str, object]:
    sections = {name: getattr(run.config, name).model_dump(mode="json") for name in ("model", "train")}
    return {f"{name}.{key}": value for name, values in sections.items() for key, value in values.items()}


def _command(folder: Path, name: str) -> str:
    """The command of the grid in the folder."""
    grid = read_json(folder / SWEEP).get("grid", {}) if (folder / SWEEP).is_file() else {}
    fixed, seeds = dict(grid.get("fixed", {})), list(grid.get("axes", {}).get("seed", []))
    if "group" not in fixed or not seeds:
        return ""
    options: list[object] = ["interp", "study", fixed.pop("group"), "--preset", fixed.pop("preset", "small")]
    options += ["--seed", seeds[0], "--seeds", len(seeds), "--checkpoints", fixed.pop("measure.checkpoints", 40)]
    for key in ("main_length", "auxiliary_length", "marking"):
        options += [f"--{key.replace('_', '-')}", fixed.pop(key)] if key in fixed else []
    rest = [f"{key}={value}" for key, value in fixed.items()]
    return command(*options, "--name", name, *(["--set", *rest] if rest else []))
