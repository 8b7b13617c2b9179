"""Effects on every example that are kept with a run, so that a table, or another one, is made of them at once."""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

import pandas as pd

from analyses.examples import Running
from analyses.journal import Journal
from analyses.store import result_path, stored_table
from interp.asking.options import Which
from interp.terminal.console import counting
from tasks import Task
from training import HookedTransformer, Run
from training.files import read_table


def kept(
    run: Run,
    name: str,
    tasks: Sequence[Task],
    which: Which,
    *,
    about: Mapping[str, object],
    compute: Callable[[HookedTransformer, Running], pd.DataFrame],
) -> pd.DataFrame:
    """A table kept in the run's results, with a bar: asked again it is read, and when interrupted it goes on.

    Args:
        run: The run.
        name: What the table is; the beginning of its file's name.
        tasks: The tasks that it is about.
        which: Which weights, how many examples, which seed.
        about: What else it depends on.
        compute: Makes the table with the model, if there is none yet.
    """
    key = _key(run, tasks, which, about)
    folder = run.path / "results"
    journal = Journal(result_path(folder, name, key).with_suffix(".journal"))
    with counting() as bar:
        running = Running(on_done=bar(" ".join(task.name for task in tasks)), journal=journal)

        def make() -> pd.DataFrame:
            return compute(run.model(which.step, weights=which.weights), running)

        table = stored_table(folder, name, key, make)
    journal.remove()
    return table


def found(run: Run, name: str, tasks: Sequence[Task], which: Which, *, about: Mapping[str, object]) -> pd.DataFrame:
    """The table that `kept` keeps under these names, or an empty one if it was not made yet: no model is run."""
    path = result_path(run.path / "results", name, _key(run, tasks, which, about))
    return read_table(path) if path.is_file() else pd.DataFrame()


def _key(run: Run, tasks: Sequence[Task], which: Which, about: Mapping[str, object]) -> dict[str, object]:
    """All that a table depends on."""
    return {
        **about,
        "tasks": [task.key for task in tasks],
        "weights": run.digest(which.step, weights=which.weights),
        "n": which.n,
        "seed": which.seed,
        "version": version("interp-toolkit"),
    }
