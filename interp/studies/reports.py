"""Pages as the command line asks for them: of a study, of a study over seeds, of a run, of several."""

from collections.abc import Sequence
from pathlib import Path

from interp.findings.runs import run_findings
from interp.page import write_comparison
from interp.studies.seeds import TABLES, report_seeds
from interp.studies.study import find_study, report_study
from interp.terminal.console import say, show
from tasks import InvalidValueError
from training import load_run
from training.finding import SWEEP
from training.run_config import ROOT
from training.runs import STUDY

COMPARISON = "comparison.html"
"""The page of several runs, under `runs`."""


def report_one(name: str | None, out: Path | None) -> None:
    """Writes the page of one study, study over seeds, sweep or run; of the newest study for None.

    Raises:
        UnknownNameError: There is nothing of that name.
        BrokenRunError: It is unfinished or damaged, or there is no study at all.
        InvalidValueError: `out` cannot be written.
    """
    folder = _folder(name) if name else find_study(None)
    check_page(out)
    if (folder / STUDY).is_file():
        _study(folder, out)
    elif (folder / SWEEP).is_file() and (folder / TABLES).is_dir():
        say(f"page: {report_seeds(folder, missing='measure', out=out)}")
    else:
        report_several([str(folder)], out or (folder / "report.html"))


def report_several(names: Sequence[str], out: Path | None) -> None:
    """Measures the runs that are named, shows the table that sums them up, and writes their page.

    Raises:
        UnknownNameError: No such run.
        BrokenRunError: One of them is unfinished or damaged.
        InvalidValueError: A run named twice, too many runs, or `out` cannot be written.
    """
    import pandas as pd

    from interp.words.comparison import chosen_metrics, summary_table

    check_page(out)
    runs = run_findings(names, on_stage=lambda name: say(f"measuring {name} ..."))
    page = write_comparison(runs, out or ROOT / COMPARISON)
    table = summary_table(runs, metric=chosen_metrics(runs)[0])
    rows = [[cell.replace("`", "") for cell in row] for row in table.rows]
    title = "exact match of each run's main task, and the heads that its first two tasks share"
    show(pd.DataFrame(rows, columns=list(table.headers)), columns=table.headers, title=title)
    say(f"page: {page}")


def check_page(out: Path | None) -> None:
    """Refuses a place for a page before any long work begins.

    Raises:
        InvalidValueError: Another ending than .html, or a folder.
    """
    if out is not None and (out.suffix != ".html" or out.is_dir()):
        raise InvalidValueError(f"cannot write a page to {str(out)!r}; name a file that ends in .html")


def _study(folder: Path, out: Path | None) -> None:
    from analyses.transfer.study import open_study
    from analyses.transfer.study_record import read_record

    report_study(open_study(folder), folder, command=read_record(folder).command, missing="measure", out=out)


def _folder(name: str) -> Path:
    """The folder of a study, sweep or run.

    Raises:
        UnknownNameError: There is none of that name.
        BrokenRunError: It is an unfinished run.
    """
    for place in (Path(name), ROOT / name):
        if (place / STUDY).is_file() or (place / SWEEP).is_file():
            return place
    return load_run(name).path
