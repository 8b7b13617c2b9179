"""`interp train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from interp.asking.options import Form, Many, Output, Settings
from interp.terminal.console import Monitor, check_output, emit, say

if TYPE_CHECKING:
    from tasks import Group
    from training import Tracker, TrainConfig


@Parameter(name="*")
@dataclass(frozen=True)
class Mixture:
    """What a model is trained on."""

    group: str | None = None
    """The group of tasks; copy+shift if neither group nor main is given."""

    main: str | None = None
    """In the place of a group: the main task, by name or as my_file.py:MyTask, with parameters in brackets if wanted,
    'shift(alphabet=12)'; longest length 10 unless --main-length says otherwise."""

    auxiliary: Annotated[tuple[str, ...], Many] = ()
    """With --main: the tasks to train it with; longest length 20 unless --auxiliary-length says otherwise."""

    condition: Literal["auxiliary", "alone", "control"] | None = None
    """What the main task is trained with; the auxiliaries if there are any, if left out."""


@Parameter(name="*")
@dataclass(frozen=True)
class Watched:
    """How training is run and watched; what is trained does not depend on it."""

    device: str = "cpu"
    """Where the model is: cpu, cuda, ..."""

    track: Annotated[tuple[Literal["tensorboard", "wandb"], ...], Many] = ()
    """Whom to tell what is measured: tensorboard writes to runs/tensorboard/NAME; wandb is Weights & Biases, which
    keeps the run for later where WANDB_MODE=offline is set."""


def train(
    preset: str | None = None,
    /,
    *,
    mixture: Mixture = Mixture(),
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    seed: int = 0,
    set_: Annotated[tuple[str, ...], Settings] = (),
    name: str | None = None,
    form: Form = Form(),
    watched: Watched = Watched(),
    output: Output = Output(),
) -> None:
    """Train a model on a group's main task with its auxiliaries, alone, or with its control.

    Two examples:

    - `interp train small --group copy+shift`
    - `interp train --main my_file.py:MyTask --auxiliary copy`

    Args:
        preset: A preset's name, or a TOML file with the sections model, train and measure; small, or finetune with
            --from, if left out.
        from_: The pretrained checkpoint that training starts from: a folder, or a name on the hub, with @ and a
            revision if wanted, as in SmolLM2-360M-intermediate-checkpoints@step-160000.
        seed: Seeds the initial weights and the data.
        set_: Keys of the preset to replace, as section.key=value.
        name: The run's name under `runs`; made from the other options if left out.
    """
    check_output(output)
    from analyses.transfer.study import Study
    from interp.asking.groups import default_name
    from tasks import InvalidValueError
    from training import load_preset
    from training import train as train_run
    from training.run_config import ROOT

    chosen = _group(mixture, form)
    condition = mixture.condition or ("auxiliary" if chosen.auxiliaries else "alone")
    if condition != "alone" and not (chosen.auxiliaries if condition == "auxiliary" else chosen.controls):
        raise InvalidValueError(f"group {chosen.name!r} has no {condition} tasks; choose another condition")
    preset = preset or ("finetune" if from_ else "small")
    loaded = load_preset(preset)
    study = Study(chosen, (loaded.starting(from_) if from_ else loaded).override(set_), seed=seed)
    own = (mixture.main, mixture.auxiliary) if mixture.main else ()
    changes = (set_, () if form == Form() else form, own, *((from_,) if from_ else ()))
    path = ROOT / (name or default_name(f"{chosen.name}-{condition}", preset, seed, changes=changes))
    config = study.configs[condition]
    trackers = [_tracker(kind, path, config) for kind in dict.fromkeys(watched.track)]
    monitor = Monitor()
    with monitor.running():
        run = train_run(
            config,
            path,
            device=watched.device,
            trackers=trackers,
            on_step=lambda progress: monitor(condition, progress),
        )
    say(f"run: {run.path}")
    table = run.metrics
    last = table[(table["step"] == run.steps[-1]) & (table["weights"] == "averaged")]
    columns = ["task", "length", "n", "accuracy", "stderr"]
    emit(table, output, columns=columns, title="exact match, averaged weights, end of training", shown=last)


def _tracker(kind: str, path: Path, config: "TrainConfig") -> "Tracker":
    from training.run_config import ROOT
    from training.trackers import TensorBoard, WeightsAndBiases

    if kind == "tensorboard":
        return TensorBoard(ROOT / "tensorboard" / path.name)
    return WeightsAndBiases(path.name, folder=ROOT, config=config.model_dump(mode="json"))


def _group(mixture: Mixture, form: Form) -> "Group":
    from interp.asking.groups import chosen_group, own_group
    from tasks import InvalidValueError

    if mixture.main is None:
        if mixture.auxiliary:
            raise InvalidValueError("--auxiliary goes with --main; a --group has its own auxiliaries")
        return chosen_group(mixture.group or "copy+shift", form)
    if mixture.group is not None:
        raise InvalidValueError(
            f"--group {mixture.group} and --main {mixture.main} exclude each other; give one of them"
        )
    return own_group(mixture.main, mixture.auxiliary, form)
