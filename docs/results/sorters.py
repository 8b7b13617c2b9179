"""What `primitives.md` is made of, measured on one run after the other: `python -m docs.results.sorters RUN ...`.

Of each run, kept in its results, so that asking again reads: `Primitives` of `sort` and of the hint, `ResidualLens` of
`sort`, and `LinearProbe` of two labels of `sort`. The tables (`primitives_tables.py`, `sorter_tables.py`) ask for the
same.
"""

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from analyses import LinearProbe, Primitives, ResidualLens
from analyses.scopes import Scope
from analyses.store import stored_table
from training import Run, load_run, named_generator

KINDS = ["trained with", "softmax"]
LENGTH, N, PROBED = 12, 128, 256
LABELS: dict[str, Scope] = {"minimum": "prompt", "successor": "answer"}


def about(run: Run) -> dict[str, object]:
    """What a run was trained with."""
    others = ", ".join(member.task.name for member in run.mixture[1:])
    softmax = {"none": "plain", "log_n": "tempered"}[run.config.model.temperature]
    return {"trained with": others or "(alone)", "softmax": softmax, "run seed": run.config.seed}


def primitives(run: Run, task: str, *, length: int = LENGTH, n: int = N) -> pd.DataFrame:
    """`Primitives` of a task."""
    return _kept(run, "primitives", task, Primitives(permutations=3_000), length=length, n=n)


def choosing(run: Run, task: str, *, length: int = LENGTH, n: int = N) -> pd.DataFrame:
    """The same on other examples, to choose heads by."""
    return _kept(run, "choosing", task, Primitives(permutations=1), length=length, n=n)


def lens(run: Run, task: str, *, length: int = LENGTH, n: int = N) -> pd.DataFrame:
    """`ResidualLens` of a task."""
    return _kept(run, "lens", task, ResidualLens(), length=length, n=n)


def probe(run: Run, label: str, *, length: int = LENGTH, n: int = PROBED) -> pd.DataFrame:
    """`LinearProbe` of a label of `sort`."""
    probe = LinearProbe(positions=LABELS[label])

    def measure() -> pd.DataFrame:
        generator = named_generator(run.config.seed, f"probe-{label}")
        return probe(run.model(), run.task("sort"), label=label, length=length, n=n, generator=generator)

    return _stored(run, f"probe-{label}", {"analysis": repr(probe), "length": length, "n": n}, measure)


def _kept(run: Run, name: str, task: str, analysis: Primitives | ResidualLens, *, length: int, n: int) -> pd.DataFrame:
    drawn = {"length": length, "n": n, "task_head": run.task_head(task)}

    def measure() -> pd.DataFrame:
        generator = named_generator(run.config.seed, name)
        return analysis(run.model(), run.task(task), generator=generator, **drawn)

    return _stored(run, f"{name}-{task}", {"analysis": repr(analysis), **drawn}, measure)


def _stored(run: Run, name: str, parameters: dict[str, object], measure: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    key = {**parameters, "weights": run.digest(), "version": version("interp-toolkit")}
    return stored_table(run.path / "results", name, key, measure).assign(**about(run))


def main() -> None:
    """Measures all of the runs that are named."""
    for path in map(Path, sys.argv[1:]):
        run = load_run(path)
        for task in [member.task.name for member in run.mixture if member.task.name in ("sort", "successor")]:
            primitives(run, task)
        choosing(run, "sort")
        lens(run, "sort")
        for label in LABELS:
            probe(run, label)


if __name__ == "__main__":
    main()
