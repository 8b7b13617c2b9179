"""`interp report`."""

from pathlib import Path


def report(*names: str, out: Path | None = None) -> None:
    """Write the page of a study, of a study over seeds, or of several runs beside each other.

    Two examples:

    - `interp report demo`
    - `interp report demo runs/other --out both.html`

    Args:
        names: Studies, runs or sweeps, by folder or name; the newest study if left out. One study gives its own page;
            several names a page that compares their runs, a study standing for its run with the auxiliary. Primitives
            are measured the first time, and kept with the run.
        out: The file; report.html in the folder of the study or run if left out, runs/comparison.html for several.
    """
    from interp.studies.reports import report_one, report_several

    if len(names) > 1:
        report_several(names, out)
    else:
        report_one(names[0] if names else None, out)
