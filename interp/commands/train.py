"""`interp train`."""

from typing import Annotated, Literal

from interp.console import Monitor, say
from interp.options import Settings


def train(
    preset: str = "small",
    /,
    *,
    group: str = "copy+shift",
    condition: Literal["auxiliary", "alone", "control"] = "auxiliary",
    seed: int = 0,
    set_: Annotated[tuple[str, ...], Settings] = (),
    name: str | None = None,
    main_length: int | None = None,
    auxiliary_length: int | None = None,
) -> None:
    """Train a model on a group's main task with its auxiliaries, alone, or with its control.

    Examples: `interp train small --group copy+shift`, `interp train --seed 3 --set optimizer.steps=500 --name try`

    Args:
        preset: A preset's name, or a TOML file with the sections model, optimizer and measure.
        group: The group of tasks.
        condition: What the main task is trained with.
        seed: Seeds the initial weights and the data.
        set_: Keys of the preset to replace, as section.key=value.
        name: The run's name under `runs`; made from the other options if left out.
        main_length: Longest training length of the main task, if not the group's.
        auxiliary_length: Longest training length of the other tasks, if not the group's.
    """
    from analyses.study import Study
    from interp.groups import chosen_group, default_name
    from tasks import InvalidValueError
    from training import load_preset
    from training import train as train_run
    from training.runs import ROOT

    chosen = chosen_group(group, main_length, auxiliary_length)
    if condition == "control" and not chosen.controls:
        raise InvalidValueError(f"group {group!r} has no control tasks; allowed conditions are auxiliary and alone")
    study = Study(chosen, load_preset(preset).override(set_), seed=seed)
    given = () if main_length is None and auxiliary_length is None else (main_length, auxiliary_length)
    path = ROOT / (name or default_name(f"{group}-{condition}", preset, seed, changes=(set_, given)))
    monitor = Monitor()
    with monitor.running():
        run = train_run(study.configs[condition], path, on_step=lambda progress: monitor(condition, progress))
    say(f"run: {run.path}")
    last = run.metrics[(run.metrics["step"] == run.steps[-1]) & (run.metrics["weights"] == "averaged")]
    from interp.console import show

    show(last, columns=["task", "length", "n", "accuracy", "stderr"], title="averaged weights, end of training")
