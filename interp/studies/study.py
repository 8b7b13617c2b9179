"""A study as the command line runs it: bars while it trains, a table at the end, and the page."""

from pathlib import Path

import pandas as pd

from analyses.transfer.study import Study
from analyses.transfer.study_results import StudyResults
from interp.findings.extras import Missing, extras_of
from interp.page import write_page
from interp.terminal.console import Monitor, say, show
from tasks import BrokenRunError
from tasks.errors import unknown_name
from training import load_run
from training.finding import list_runs
from training.run_config import ROOT, run_name
from training.runs import STUDY


def run_study(study: Study, folder: Path, *, workers: int, command: str) -> StudyResults:
    """Trains, measures, shows the result table, writes `folder/report.html`; what is done already is reused."""
    monitor = Monitor()
    with monitor.running():
        study.train(folder, workers=workers, command=command, on_progress=monitor)
    return report_study(study, folder, command=command)


def report_study(
    study: Study, folder: Path, *, command: str, missing: Missing = "leave", out: Path | None = None
) -> StudyResults:
    """Measures the trained models of a study, shows the result table, and writes the page.

    Args:
        study: The study.
        folder: Its folder.
        command: The command that makes it.
        missing: Whether primitives are measured if they are missing.
        out: The page's file; `folder/report.html` if left out.

    Raises:
        BrokenRunError: One of the models is not trained to the end.
    """
    runs = {condition: load_run(folder / condition) for condition in study.conditions}
    results = study.measure(folder, runs, command=command, on_stage=lambda stage: say(f"{stage} ..."))
    extras = extras_of(
        runs["auxiliary"], run_name(folder, ROOT), missing=missing, on_stage=lambda stage: say(f"{stage} ...")
    )
    page = write_page(results, out or folder / "report.html", extras=extras)
    columns = ["condition", *(f"{results.main} at {length}" for length in _headline(results))]
    show(headline_table(results), columns=columns, title=f"{results.name}: exact match, averaged weights (raw weights)")
    say(f"page: {page}")
    return results


def headline_table(results: StudyResults) -> pd.DataFrame:
    """The main task's accuracy for each condition at its own, the transfer and the auxiliary's longest length."""
    table = results.accuracy[results.accuracy["task"] == results.main]
    labels = {
        "auxiliary": f"with {', '.join(results.auxiliaries)}",
        "alone": "alone",
        "control": f"with {', '.join(results.controls)} (control)",
    }
    rows = []
    for condition in dict.fromkeys(table["condition"]):
        row = {"condition": labels[condition]}
        for length in _headline(results):
            at = table[(table["condition"] == condition) & (table["length"] == length)].set_index("weights")["accuracy"]
            row[f"{results.main} at {length}"] = f"{at['averaged']:.3f} ({at['raw']:.3f})"
        rows.append(row)
    return pd.DataFrame(rows)


def find_study(name: str | None) -> Path:
    """The folder of a study: by path, by name under `runs`, or the newest.

    Raises:
        UnknownNameError: No such study.
        BrokenRunError: There is no study at all.
    """
    studies = [run for run in list_runs(ROOT) if (ROOT / run / STUDY).is_file()]
    if name is None:
        if not studies:
            raise BrokenRunError(f"there is no study under {str(ROOT)!r}; 'interp demo' or 'interp study' makes one")
        return ROOT / studies[-1]
    for folder in (Path(name), ROOT / name):
        if (folder / STUDY).is_file():
            return folder
    listing = f"the studies are {', '.join(studies)}" if studies else "there is none yet; 'interp demo' makes one"
    raise unknown_name("study", name, studies, listing=listing)


def _headline(results: StudyResults) -> list[int]:
    return sorted({results.main_length, results.transfer_length, results.auxiliary_length})
