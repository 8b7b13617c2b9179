"""The data of `interp figure accuracy-by-length`: of a run, of a study's models, or of a study over seeds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analyses import Running
from analyses.statistics.seeds import t_interval
from interp.asking.figure_options import Asked
from interp.asking.options import Which
from interp.figure_sources.drawn import Drawn, tasks_of, which
from interp.measuring.keeping import kept
from interp.paper import Reached, accuracy_figure
from interp.studies.seeds import TABLES, read_results
from interp.words.intervals import wilson
from tasks import InvalidValueError, Task
from training import HookedTransformer, Run, evaluate, load_run, named_generator
from training.finding import SWEEP
from training.run_config import ROOT, run_name
from training.runs import STUDY

_CONDITIONS = ("auxiliary", "alone", "control")

_COLUMNS = ("series", "length", "accuracy", "low", "high")


def accuracy(asked: Asked) -> Drawn:
    """Exact match by length with its interval: Wilson's of one model, Student's over seeds."""
    if asked.source is not None:
        for folder in (Path(asked.source), ROOT / asked.source):
            if (folder / SWEEP).is_file() and (folder / TABLES).is_dir():
                return _over_seeds(asked, folder)
    run = load_run(asked.source)
    study = run.path.parent if run.path.name == "auxiliary" and (run.path.parent / STUDY).is_file() else None
    named = asked.source is None or Path(asked.source).name != "auxiliary"
    runs = _models(study) if study is not None and named and not asked.measure.tasks else {"": run}
    table = _of_runs(asked, runs)
    members = next(iter(runs.values())).mixture
    marks = [Reached(member.max_length, f"{member.task.name}'s longest in training") for member in members]
    source = run_name(study) if len(runs) > 1 and study is not None else run.name
    folder = study if len(runs) > 1 and study is not None else run.path
    return _drawn(asked, table, _together(marks), folder, source)


def _drawn(asked: Asked, table: pd.DataFrame, marks: Sequence[Reached], folder: Path, source: str) -> Drawn:
    figure = accuracy_figure(table, marks=marks, width=asked.look.width or "column")
    return Drawn(figure, table, _COLUMNS, f"{source}: exact match by length, 95 % intervals", folder, source)


def _together(marks: Sequence[Reached]) -> list[Reached]:
    """One mark for each length."""
    lengths = sorted({mark.length for mark in marks})
    return [Reached(at, ", ".join(mark.what for mark in marks if mark.length == at)) for at in lengths]


def _models(study: Path) -> dict[str, Run]:
    return {name: load_run(study / name) for name in _CONDITIONS if (study / name / "config.json").is_file()}


def _of_runs(asked: Asked, runs: dict[str, Run]) -> pd.DataFrame:
    """Every task of a run; of a study's models the main task, and the auxiliaries' own accuracy."""
    parts: list[tuple[bool, pd.DataFrame]] = []
    for condition, run in runs.items():
        names = tasks_of(asked, run)
        lengths = asked.measure.lengths or _grid(list(runs.values()), run, names)
        for place, name in enumerate(names if condition in ("", "auxiliary") else names[:1]):
            measured = _accuracy(run, run.task(name), which(asked, n=512), lengths)
            parts.append((place > 0, measured.assign(series=_series(condition, run, name))))
    main_first = [part for _, part in sorted(parts, key=lambda part: part[0])]
    table = pd.concat(main_first, ignore_index=True)
    ends = [wilson(row["accuracy"], row["n"]) for row in table.to_dict("records")]
    return table.assign(low=[end.low for end in ends], high=[end.high for end in ends])


def _series(condition: str, run: Run, name: str) -> str:
    main, *others = [member.task.name for member in run.mixture]
    if not condition:
        return name
    if name != main:
        return f"{name}, the auxiliary itself"
    trained = f"trained with {', '.join(others)}" if others else "trained alone"
    return f"{main}, {trained}" + (" (control)" if condition == "control" else "")


def _grid(runs: Sequence[Run], run: Run, names: Sequence[str]) -> tuple[int, ...]:
    """Lengths up to a quarter beyond the longest trained one, as `interp evaluate` takes them."""
    tasks = [run.task(name) for name in names]
    longest = max(member.max_length for one in runs for member in one.mixture) * 5 // 4
    longest, shortest = min(longest, *(one.max_length for one in tasks)), max(one.min_length for one in tasks)
    return tuple(range(shortest, longest + 1, max(1, longest // 20)))


def _accuracy(run: Run, task: Task, which: Which, lengths: Sequence[int]) -> pd.DataFrame:
    """The task's accuracy, kept with the run."""

    def compute(model: HookedTransformer, _: Running) -> pd.DataFrame:
        return evaluate(
            model, task, lengths=list(lengths), n=which.n, generator=named_generator(which.seed, "test", task.name),
            task_head=run.task_head(task.name),
        )  # fmt: skip

    return kept(run, f"accuracy-{task.name}", [task], which, about={"lengths": list(lengths)}, compute=compute)


def _over_seeds(asked: Asked, folder: Path) -> Drawn:
    """The main task's mean over seeds, from the study's tables."""
    asks = asked.measure
    if asks.tasks or asks.lengths or asks.n is not None or asks.seed is not None or asks.step is not None:
        raise InvalidValueError(
            f"{str(folder)!r} is a study over seeds, whose figure draws its own tables; leave out --tasks, --lengths, "
            "--n, --seed and --step, or name one of its runs"
        )
    table = read_results(folder).accuracy
    weights = asks.weights or "averaged"
    if weights not in set(table["weights"]):
        raise InvalidValueError(
            f"weights {weights!r} are not in the tables; they have {', '.join(sorted(set(table['weights'])))}"
        )
    rows = []
    chosen = table[table["weights"] == weights]
    for (condition, length), part in chosen.groupby(["condition", "length"], sort=False):
        values = part["accuracy"].astype(float).tolist()
        low, high = np.clip(t_interval(values), 0, 1) if len(values) > 1 else (np.nan, np.nan)
        rows.append({"series": f"{part['main'].iloc[0]}, {_WORDS[str(condition)]}", "length": length,
                     "accuracy": float(np.mean(values)), "low": low, "high": high, "seeds": len(values)})  # fmt: skip
    marks = [Reached(int(chosen["main_length"].iloc[0]), "main task's longest in training")]
    return _drawn(asked, pd.DataFrame(rows), marks, folder, run_name(folder))


_WORDS = {"auxiliary": "trained with auxiliary", "alone": "trained alone", "control": "trained with control"}
