"""`interp study`."""

import shlex
from typing import Annotated

from interp.engines import Engines
from interp.options import Form, Settings


def study(
    group: str,
    /,
    *,
    preset: str = "small",
    seed: int = 0,
    seeds: int = 1,
    checkpoints: int | None = None,
    set_: Annotated[tuple[str, ...], Settings] = (),
    n: int = 1024,
    name: str | None = None,
    form: Form = Form(),
    engines: Engines = Engines(),
) -> int:
    """Train main with auxiliary, main alone and main with control; measure transfer and shared heads; write the page.

    With --seeds 2 or more: whether transfer and sharing hold over seeds, and whether they go together over training, as
    tables and a figure.

    Examples: `interp study copy+shift`, `interp study copy+shift --seeds 5 --checkpoints 40 --engine ray`

    Args:
        group: The group of tasks.
        preset: A preset's name, or a TOML file.
        seed: Seeds every stream of random numbers; the first of several.
        seeds: How many seeds.
        checkpoints: How many each run keeps; the preset's if left out, and 40 with several seeds.
        set_: Keys of the preset to replace, as section.key=value.
        n: Test examples per length; the ablation maps use half as many.
        name: The study's name under `runs`; made from the other options if left out.

    Returns:
        The exit code: 1 if a run of several seeds failed.
    """
    from analyses.transfer.study import Study
    from interp.groups import chosen_group, default_name
    from interp.studies import run_study
    from tasks import InvalidValueError
    from training import load_preset
    from training.run_config import ROOT

    kept = () if checkpoints is None else (f"measure.checkpoints={checkpoints}",)
    options = {
        "--main-length": form.main_length,
        "--auxiliary-length": form.auxiliary_length,
        "--marking": form.marking,
    }
    given = {option: value for option, value in options.items() if value is not None}
    several = ("seeds", 40 if checkpoints is None else checkpoints)  # not how many: more seeds go on in the same folder
    changes = (set_, given, () if n == 1024 else n, *(several if seeds > 1 else kept))
    folder = ROOT / (name or default_name(group, preset, seed, changes=changes))
    if seeds != 1:
        from interp.seed_studies import run_seed_study, seed_study

        asked = seed_study(
            group,
            preset,
            range(seed, seed + seeds),
            form=form,
            settings=set_,
            checkpoints=40 if checkpoints is None else checkpoints,
            n=n,
        )
        return run_seed_study(asked, folder, engines)
    if engines.engine != "processes" or engines.threads != 1 or engines.address is not None:
        raise InvalidValueError(
            "--engine, --threads and --address go with several seeds; add --seeds 5, or leave them out"
        )
    workers = 2 if engines.workers is None else engines.workers
    if workers < 1:
        raise InvalidValueError(f"workers = {workers}; allowed is 1 or more")
    chosen = chosen_group(group, form)
    single = Study(chosen, load_preset(preset).override((*set_, *kept)), seed=seed, n=n)
    parts = ["interp", "study", group, "--preset", preset, "--seed", seed, "--n", n, "--workers", workers]
    parts += [] if checkpoints is None else ["--checkpoints", checkpoints]
    parts += [part for item in given.items() for part in item] + (["--set", *set_] if set_ else [])
    run_study(single, folder, workers=workers, command=shlex.join(map(str, parts)))
    return 0
