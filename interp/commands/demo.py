"""`interp demo`."""


def demo() -> None:
    """Run the demonstration: the copy+shift study on the small preset, under 10 minutes on two cores.

    Examples: `interp demo`, and once more, to go on after an interruption or to see the finished result: `interp demo`
    """
    from analyses.transfer.study import Study
    from interp.studies import run_study
    from tasks import get_group
    from training import load_preset
    from training.run_config import ROOT

    asked = Study(get_group("copy+shift"), load_preset("small"), seed=0)
    run_study(asked, ROOT / "demo", workers=2, command="interp demo")
