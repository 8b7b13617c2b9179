"""`interp isolate`."""

from pathlib import Path
from typing import Annotated

from interp.asking.engines import Engines, chosen_engine
from interp.asking.options import Form, Output, Settings
from interp.terminal.console import check_output, counting, emit, say

COLUMNS = (
    "condition",
    "accuracy",
    "low",
    "high",
    "gain",
    "gain_low",
    "gain_high",
    "p",
    "q",
    "share",
    "behind",
    "reuse",
    "reuse_null_mean",
    "reuse_q",
)
"""What a person sees."""


def isolate(
    group: str,
    /,
    *,
    preset: str = "small",
    seeds: int = 5,
    first_seed: int = 0,
    set_: Annotated[tuple[str, ...], Settings] = (),
    n: int = 1024,
    name: str | None = None,
    form: Form = Form(),
    engines: Engines = Engines(),
    output: Output = Output(),
) -> int:
    """Tell the auxiliary's alignment from mere multi-task training: train conditions that each lack one thing.

    Two examples:

    - `interp isolate copy+shift`
    - `interp isolate copy/recall-scaled --seeds 8 --set train.steps=6000`

    Args:
        group: The group of tasks.
        preset: A preset's name, or a TOML file.
        seeds: How many seeds each condition is trained with, 2 to 20; p is never below 1 / 2^seeds.
        first_seed: The first of them.
        set_: Keys of the preset to replace, as section.key=value.
        n: Test examples for accuracy; the ablation maps use half as many.
        name: The sweep's name under `runs`; isolate-GROUP-PRESET if left out.

    Returns:
        The exit code: 1 if a run failed.
    """
    check_output(output)
    from analyses import Isolation, isolation_table
    from interp.asking.sweep_values import fixed_values
    from interp.terminal.sweep_table import SweepMonitor, tell_failures
    from training.run_config import ROOT

    asked = Isolation(group, preset, tuple(range(first_seed, first_seed + seeds)), n, fixed=fixed_values(set_, form))
    engine = chosen_engine(engines)
    folder = ROOT / (name or f"isolate-{group.replace('/', '-')}-{Path(preset).stem}")
    monitor = SweepMonitor(asked.grid.cells(), folder.name)
    with monitor.running():
        result = asked.train(folder, engine=engine, watcher=monitor)
    if tell_failures(result):
        return 1
    with counting() as bar:
        runs = asked.measure(result, on_run=bar("runs measured"))
    table = isolation_table(runs, asked.reuse(result))
    first = table.iloc[0]
    title = f"{first['main']} at length {first['length']}: exact match, {first['weights']} weights, {seeds} seeds"
    say(f"p: {2**seeds} flips of the seeds' signs, so never below {2.0**-seeds:.2g}; q: over the conditions")
    emit(table, output, columns=COLUMNS, title=title)
    return 0
