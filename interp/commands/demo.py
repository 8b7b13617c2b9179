"""`interp demo`."""

from interp.asking.options import Output
from interp.commands.study import COLUMNS
from interp.terminal.console import check_output, emit, tables_aside


def demo(*, output: Output = Output()) -> None:
    """Run the demonstration, the copy+shift study on the small preset: under 10 minutes on two cores.

    Two examples:

    - `interp demo`
    - `interp demo --out accuracy.csv`
    """
    check_output(output)
    from analyses.transfer.study import Study
    from interp.studies.study import run_study
    from tasks import get_group
    from training import load_preset
    from training.run_config import ROOT

    asked = Study(get_group("copy+shift"), load_preset("small"), seed=0)
    with tables_aside(output) as aside:
        results = run_study(asked, ROOT / "demo", workers=2, command="interp demo")
    if aside:
        emit(results.accuracy, output, columns=COLUMNS, title=f"{results.name}: exact match")
