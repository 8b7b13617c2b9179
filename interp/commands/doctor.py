"""`interp doctor`."""

from interp.asking.options import Output
from interp.terminal.console import check_output, emit, say


def doctor(*, output: Output = Output()) -> int:
    """Check that everything is there: Python, packages, devices, disk, extras, and the runs on disk.

    Two examples:

    - `interp doctor`
    - `interp doctor --json`

    Returns:
        The exit code: 1 if something that is needed is broken, or a run is damaged.
    """
    check_output(output)
    import dataclasses

    import pandas as pd

    from interp.doctor.checkup import machine, places, run_folders, torch_and_devices
    from interp.doctor.installed import extras, packages

    parts = (machine, torch_and_devices, packages, extras, places, run_folders)
    found = [finding for part in parts for finding in part()]
    table = pd.DataFrame([dataclasses.asdict(finding) for finding in found])
    plain = table["what"].str.startswith("package ") & (table["state"] == "ok")
    say(f"{plain.sum()} packages are as they should be")
    columns = ["what", "state", "found", "wanted"]
    emit(table, output, columns=columns, title="what the toolkit needs, and what is here", shown=table[~plain])
    for finding in found:
        if finding.advice:
            say(f"{finding.what}: {finding.advice}")
    return int("broken" in set(table["state"]))
