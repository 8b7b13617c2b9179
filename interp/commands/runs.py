"""`interp runs`, `interp runs compare` and `interp runs remove`."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from interp.asking.options import Flag, Output
from interp.terminal.console import check_output, emit, say, show

if TYPE_CHECKING:
    import pandas as pd

runs = App(name="runs", help_format="markdown", version_flags=())

COLUMNS = ("run", "group", "size", "steps", "seed", "accuracy transfer", "age", "disk")
"""What a person sees of the list."""


@runs.default
def list_runs(folder: str | None = None, /, *, output: Output = Output()) -> None:
    """List runs, studies and sweeps with what they were trained on, how well it went, their age and size on disk.

    Two examples:

    - `interp runs`
    - `interp runs demo --json`

    Args:
        folder: A study, a sweep or another folder, whose runs are listed; all that is under `runs` if left out.
    """
    check_output(output)
    from interp.runs.table import run_table, runs_in

    found = runs_in(folder)
    if not found and not output.json and output.out is None:
        say("there is no run under 'runs'; 'interp demo' or 'interp train' makes one")
        return
    table = run_table(found)
    seen = _seen(table, inside=folder)
    say("size: layers x heads x d_model; accuracy: exact match of the main task at its longest trained length;")
    say("transfer: halfway from there to the longest length measured; both with averaged weights")
    title = "runs, studies and sweeps, newest last" if folder is None else f"runs of {folder}"
    emit(table, output, columns=COLUMNS, title=title, shown=seen)


def _seen(table: "pd.DataFrame", *, inside: str | None) -> "pd.DataFrame":
    """The table as a person sees it: short names, accuracy with its length, age and size in words."""
    from interp.runs.table import accuracies, age, disk

    name = table["run"] if inside is None else table["run"].str.rpartition("/")[2]
    words = [
        [f"{kind} of {count}" if kind != "run" else "", state if state != "finished" else ""]
        for kind, count, state in zip(table["kind"], table["runs"], table["state"], strict=True)
    ]
    notes = [", ".join(filter(None, pair)) for pair in words]
    seen = table.copy()
    seen["run"] = [f"{one}, {note}" if note else one for one, note in zip(name, notes, strict=True)]
    seen["accuracy transfer"] = accuracies(table)
    seen["age"] = [age(stamp) for stamp in table["trained"]]
    seen["disk"] = [disk(size) for size in table["bytes"]]
    return seen


@runs.command
def compare(
    first: str,
    second: str,
    /,
    *,
    show_: Annotated[Literal["both", "configuration", "accuracy"], Parameter(name="--show")] = "both",
    output: Output = Output(),
) -> None:
    """Compare two runs: what differs in their configuration, and exact match by length, averaged weights.

    Two examples:

    - `interp runs compare demo/auxiliary demo/alone`
    - `interp runs compare demo demo/control --show accuracy --json`

    Args:
        first: A run's folder or name; a study's name stands for its run with the auxiliary.
        second: Another one's.
        show_: Which of the two tables; `--json` and `--out` take one.
    """
    check_output(output)
    from interp.runs.comparison import accuracy_differences, configuration_differences, run_path

    machine = output.json or output.out is not None
    if show_ == "both" and machine:
        from tasks import InvalidValueError

        raise InvalidValueError(
            "--json and --out take one table, and there are two; add --show configuration or --show accuracy"
        )
    one, other = run_path(first), run_path(second)
    say(f"first: {first}\nsecond: {second}")
    if show_ in ("both", "configuration"):
        table = configuration_differences(one, other)
        emit(table, output, columns=["key", "first", "second"], title="what differs in configuration")
    if show_ in ("both", "accuracy"):
        table = accuracy_differences(one, other)
        title = "exact match, averaged weights, end of training; difference: second less first"
        columns = ["task", "length", "first", "second", "difference", "stderr"]
        emit(table, output, columns=columns, title=title)


@runs.command
def remove(*names: str, yes: Annotated[bool, Flag] = False) -> int:
    """Remove runs, studies or sweeps for good, after asking; nothing else, nothing outside of `runs`, no link.

    Two examples:

    - `interp runs remove demo`
    - `interp runs remove demo/alone demo/control --yes`

    Args:
        names: What to remove, by folder or name.
        yes: Do not ask.

    Returns:
        The exit code: 1 if the answer was no.
    """
    from interp.runs.removal import removable, remove_folder
    from interp.runs.table import run_table

    folders = list({folder.path.resolve(): folder for folder in map(removable, names)}.values())
    if not folders:
        from tasks import InvalidValueError

        raise InvalidValueError("there is nothing to remove; name a run, as 'interp runs' lists them")
    if not yes:
        if not sys.stdin.isatty():
            from tasks import InvalidValueError

            raise InvalidValueError("removing asks first, and there is no terminal to answer from; add --yes")
        seen = _seen(run_table(folders), inside=None)
        show(seen, columns=("run", "group", "steps", "seed", "age", "disk"), title="to be removed for good")
        if not _agreed():
            say("nothing was removed")
            return 1
    for folder in folders:
        if folder.path.exists():  # not where it lay in one that is gone already
            remove_folder(folder)
        say(f"removed: {folder.path}")
    return 0


def _agreed() -> bool:
    """Whether the person at the terminal says yes; the end of input, Ctrl-D, is a no."""
    try:
        return input("Remove? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        say("")
        return False
