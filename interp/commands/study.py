"""`interp study`."""

import shlex
from typing import Annotated

from interp.options import Form, Settings


def study(
    group: str,
    /,
    *,
    preset: str = "small",
    seed: int = 0,
    set_: Annotated[tuple[str, ...], Settings] = (),
    n: int = 1024,
    workers: int = 2,
    name: str | None = None,
    form: Form = Form(),
) -> None:
    """Train main with auxiliary, main alone and main with control; measure transfer and shared heads; write the page.

    Examples: `interp study copy+shift`, `interp study capitalize_reverse --seed 1 --set train.steps=6000`

    Args:
        group: The group of tasks.
        preset: A preset's name, or a TOML file.
        seed: Seeds every stream of random numbers.
        set_: Keys of the preset to replace, as section.key=value.
        n: Test examples per length; the ablation maps use half as many.
        workers: How many models are trained at a time, each with an equal share of the cores.
        name: The study's name under `runs`; made from the other options if left out.
    """
    from analyses.transfer.study import Study
    from interp.groups import chosen_group, default_name
    from interp.studies import run_study
    from tasks import InvalidValueError
    from training import load_preset
    from training.run_config import ROOT

    if workers < 1:
        raise InvalidValueError(f"workers = {workers}; allowed is 1 or more")
    chosen = chosen_group(group, form)
    asked = Study(chosen, load_preset(preset).override(set_), seed=seed, n=n)
    options = {
        "--main-length": form.main_length,
        "--auxiliary-length": form.auxiliary_length,
        "--marking": form.marking,
    }
    given = {option: value for option, value in options.items() if value is not None}
    folder = ROOT / (name or default_name(group, preset, seed, changes=(set_, given, () if n == 1024 else n)))
    parts = ["interp", "study", group, "--preset", preset, "--seed", seed, "--n", n, "--workers", workers]
    parts += [part for item in given.items() for part in item] + (["--set", *set_] if set_ else [])
    run_study(asked, folder, workers=workers, command=shlex.join(map(str, parts)))
