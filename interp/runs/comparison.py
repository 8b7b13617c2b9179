"""What differs between two runs, read from their files without loading torch."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from interp.runs.facts import flat, last_accuracy, run_facts
from interp.runs.folders import CONFIG, ENVIRONMENT, PARTIAL, Folder, find_folder, folders_below, read_object

_LONG = 80
"""Texts of a configuration that are longer are cut; a vocabulary is such a one."""


def run_path(name: str) -> Path:
    """The folder of a finished run; a study stands for its run with the auxiliary.

    Raises:
        UnknownNameError: There is no such run.
        BrokenRunError: It is unfinished, damaged, or a sweep.
    """
    folder = find_folder(name)
    if folder is None:
        from tasks.errors import unknown_name

        known = [one.name for one in folders_below() if one.kind != "sweep"]
        raise unknown_name("run", name, known, listing="'interp runs' lists them")
    if problem := _problem(folder, name):
        from tasks.errors import BrokenRunError  # only here: it loads torch

        raise BrokenRunError(problem)
    return folder.main


def _problem(folder: Folder, name: str) -> str:
    """Why a folder is no finished run; empty if it is."""
    if folder.kind == "sweep":
        return f"{name!r} is a sweep, not a single run; 'interp runs {name}' lists its runs"
    if folder.main.name.endswith(PARTIAL) or not folder.main.is_dir():
        return f"run {name!r} is not finished; start the command that trains it once more, and it goes on"
    if run_facts(folder.main) is None:
        return f"run {name!r}: {CONFIG} is not that of a run; remove the folder and train it again"
    return ""


def configuration_differences(first: Path, second: Path) -> pd.DataFrame:
    """A row for each key in which two runs' configurations, or the versions they were trained with, differ.

    Columns: key, first and second, as texts; empty where a run has no such key.
    """
    one, other = _values(first), _values(second)
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    rows = [[key, *(_text(values[key]) if key in values else None for values in (one, other))] for key in keys]
    return pd.DataFrame(rows, columns=["key", "first", "second"], dtype=object)


def accuracy_differences(first: Path, second: Path) -> pd.DataFrame:
    """Exact match of two runs by task and length, at the end of training, averaged weights.

    Columns: task, length, first, second, difference (second less first), stderr (of the difference, the two runs' test
    examples taken as independent); missing where a run was not measured on that.
    """
    tables = [last_accuracy(path)[["task", "length", "accuracy", "stderr"]] for path in (first, second)]
    both = tables[0].merge(tables[1], on=["task", "length"], how="outer", sort=False, suffixes=("_first", "_second"))
    order = {task: place for place, task in enumerate(dict.fromkeys(pd.concat(tables)["task"]))}
    both = both.assign(place=both["task"].map(order)).sort_values(["place", "length"], kind="stable")
    return pd.DataFrame(
        {
            "task": both["task"],
            "length": both["length"],
            "first": both["accuracy_first"],
            "second": both["accuracy_second"],
            "difference": both["accuracy_second"] - both["accuracy_first"],
            "stderr": (both["stderr_first"] ** 2 + both["stderr_second"] ** 2) ** 0.5,
        }
    ).reset_index(drop=True)


def _values(path: Path) -> dict[str, Any]:
    values = read_object(path / CONFIG) or {}
    environment = read_object(path / ENVIRONMENT) or {}
    versions = {f"environment.{key}": value for key, value in environment.items() if key != "seconds"}
    return {"format": values.get("format"), **flat(values["config"]), **versions}


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
