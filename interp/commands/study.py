"""`interp study`."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from interp.asking.engines import Engines
from interp.asking.options import Form, Output, Settings
from interp.terminal.console import check_output, emit, tables_aside

COLUMNS = ("condition", "weights", "task", "length", "n", "accuracy", "stderr")
"""What a person sees of the accuracies."""

GAIN_COLUMNS = ("contrast", "weights", "length", "first", "second", "gain", "low", "high", "p", "q")
"""What a person sees of the gains over seeds."""


@Parameter(name="*")
@dataclass(frozen=True)
class Seeds:
    """How often a study is made."""

    seed: int = 0
    """Seeds every stream of random numbers; the first of several."""

    seeds: int = 1
    """How many seeds; with 2 or more, the tables and a figure say whether transfer and sharing hold over seeds, and
    whether they go together over training."""

    checkpoints: int | None = None
    """How many each run keeps; the preset's if left out, and 40 with several seeds."""


def study(
    group: str,
    /,
    *,
    preset: str = "small",
    seeding: Seeds = Seeds(),
    set_: Annotated[tuple[str, ...], Settings] = (),
    n: int = 1024,
    name: str | None = None,
    form: Form = Form(),
    engines: Engines = Engines(),
    output: Output = Output(),
) -> int:
    """Train main with auxiliary, main alone and main with control; measure transfer and shared heads; write the page.

    Two examples:

    - `interp study copy+shift`
    - `interp study copy+shift --seeds 5 --checkpoints 40 --engine ray`

    Args:
        group: The group of tasks.
        preset: A preset's name, or a TOML file.
        set_: Keys of the preset to replace, as section.key=value.
        n: Test examples per length; the ablation maps use half as many.
        name: The study's name under `runs`; made from the other options if left out.

    Returns:
        The exit code: 1 if a run of several seeds failed.
    """
    check_output(output)
    from interp.asking.groups import default_name
    from training.run_config import ROOT

    given = {option: value for option, value in _form(form).items() if value is not None}
    kept = () if seeding.checkpoints is None else (f"measure.checkpoints={seeding.checkpoints}",)
    several = ("seeds", 40 if seeding.checkpoints is None else seeding.checkpoints)  # not how many: more go on in it
    changes = (set_, given, () if n == 1024 else n, *(several if seeding.seeds > 1 else kept))
    folder = ROOT / (name or default_name(group, preset, seeding.seed, changes=changes))
    asked = Asked(group, preset, seeding, (*set_, *kept) if seeding.seeds == 1 else set_, n, form)
    if seeding.seeds != 1:
        return _over_seeds(asked, folder, engines, output)
    _refuse_engines(engines)
    workers = 2 if engines.workers is None else engines.workers
    parts = ["interp", "study", group, "--preset", preset, "--seed", seeding.seed, "--n", n, "--workers", workers]
    parts += [] if seeding.checkpoints is None else ["--checkpoints", seeding.checkpoints]
    parts += [part for item in given.items() for part in item] + (["--set", *set_] if set_ else [])
    _once(asked, folder, workers=workers, command=shlex.join(map(str, parts)), output=output)
    return 0


@dataclass(frozen=True)
class Asked:
    """A study as it was asked for."""

    group: str
    preset: str
    seeding: Seeds
    settings: tuple[str, ...]
    n: int
    form: Form


def _form(form: Form) -> dict[str, object]:
    return {
        "--main-length": form.main_length,
        "--auxiliary-length": form.auxiliary_length,
        "--marking": form.marking,
    }


def _refuse_engines(engines: Engines) -> None:
    """Raises InvalidValueError for options that only several seeds have."""
    from tasks import InvalidValueError

    if engines.engine != "processes" or engines.threads != 1 or engines.address is not None:
        raise InvalidValueError(
            "--engine, --threads and --address go with several seeds; add --seeds 5, or leave them out"
        )
    if engines.workers is not None and engines.workers < 1:
        raise InvalidValueError(f"workers = {engines.workers}; allowed is 1 or more")


def _once(asked: Asked, folder: Path, *, workers: int, command: str, output: Output) -> None:
    from analyses.transfer.study import Study
    from interp.asking.groups import chosen_group
    from interp.studies.study import run_study
    from training import load_preset

    settings = load_preset(asked.preset).override(asked.settings)
    study = Study(chosen_group(asked.group, asked.form), settings, seed=asked.seeding.seed, n=asked.n)
    with tables_aside(output) as aside:
        results = run_study(study, folder, workers=workers, command=command)
    if aside:
        emit(results.accuracy, output, columns=COLUMNS, title=f"{results.name}: exact match")


def _over_seeds(asked: Asked, folder: Path, engines: Engines, output: Output) -> int:
    from interp.studies.seeds import read_results, run_seed_study, seed_study

    first, checkpoints = asked.seeding.seed, asked.seeding.checkpoints
    study = seed_study(
        asked.group,
        asked.preset,
        range(first, first + asked.seeding.seeds),
        form=asked.form,
        settings=asked.settings,
        checkpoints=40 if checkpoints is None else checkpoints,
        n=asked.n,
    )
    with tables_aside(output) as aside:
        code = run_seed_study(study, folder, engines)
    if aside and code == 0:
        emit(read_results(folder).gains, output, columns=GAIN_COLUMNS, title=f"{asked.group}: what the main task gains")
    return code
