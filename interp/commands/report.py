"""`interp report`."""


def report(study: str | None = None, /) -> None:
    """Write a finished study's page again.

    Examples: `interp report`, `interp report demo`

    Args:
        study: A study's folder or name; the newest if left out.
    """
    from analyses.transfer.study import open_study
    from analyses.transfer.study_record import read_record
    from interp.studies import find_study, report_study

    folder = find_study(study)
    report_study(open_study(folder), folder, command=read_record(folder).command)
