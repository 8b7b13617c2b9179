"""`interp report`."""


def report(study: str | None = None, /) -> None:
    """Write a study's page again, measuring whatever is not measured yet.

    Examples: `interp report`, `interp report demo`

    Args:
        study: A study's folder or name; the newest if left out.
    """
    from analyses.study import open_study
    from interp.studies import find_study, run_study

    folder = find_study(study)
    run_study(open_study(folder), folder, workers=2, command=f"interp report {folder.name}")
