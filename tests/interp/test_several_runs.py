"""Several runs by name: a run, a sweep's runs of several tasks, the newest; and which of them differ in seed only."""

from pathlib import Path

import pytest

from interp.runs.several import alike, runs_of
from tasks import BrokenRunError, InvalidValueError, UnknownNameError
from tests.training.sweep.quick import quick_grid
from tests.training.tiny import tiny_config
from training import Run, run_sweep
from training import train as train_run

pytestmark = pytest.mark.usefixtures("one_thread")

FEW = {"train.steps": 1, "measure.checkpoints": 1}


@pytest.fixture(scope="module")
def made(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `one` and `other`, and the sweeps `mixed` (two seeds, with and without auxiliary) and
    `alone` (without)."""
    folder = tmp_path_factory.mktemp("several")
    axes = {"seed": [1, 2], "condition": ["auxiliary", "alone"]}
    run_sweep(quick_grid(folder, axes=axes, fixed=FEW), folder / "runs" / "mixed")
    run_sweep(quick_grid(folder, axes={"condition": ["alone"]}, fixed=FEW), folder / "runs" / "alone")
    for seed, name in enumerate(("one", "other")):
        train_run(tiny_config(seed=seed, train={"steps": 1}, measure={"checkpoints": 1}), folder / "runs" / name)
    return folder


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


def names(runs: list[Run]) -> list[str]:
    return [run.name for run in runs]


def test_runs_by_name_or_folder_in_the_order_asked_for(here: Path) -> None:
    assert names(runs_of(["other", "runs/one"])) == ["other", "one"]
    assert names(runs_of([])) == ["other"], "the newest"


@pytest.mark.parametrize("name", ["mixed", "runs/mixed"])
def test_a_sweep_stands_for_its_runs_of_several_tasks(here: Path, name: str) -> None:
    runs = runs_of(["one", name])
    assert [len(run.mixture) for run in runs] == [2, 2, 2]
    assert [run.config.seed for run in runs] == [0, 1, 2]
    assert all(run.name.startswith("mixed/shift3+copy5-") for run in runs[1:])


def test_what_is_refused(here: Path) -> None:
    with pytest.raises(UnknownNameError, match="^unknown run 'tinny'; .*'runs' has "):
        runs_of(["tinny"])
    with pytest.raises(InvalidValueError) as caught:
        runs_of(["alone"])
    assert str(caught.value) == "sweep 'alone' has no finished run of several tasks; name another"
    with pytest.raises(InvalidValueError) as caught:
        runs_of(["one", "other", "runs/one"])
    assert str(caught.value) == "run 'one' is named twice; name each run once"
    (inside,) = (run for run in runs_of(["mixed"]) if run.config.seed == 2)
    with pytest.raises(InvalidValueError, match="^run 'mixed/shift3.*' is named twice; name each run once$"):
        runs_of(["mixed", inside.name])


def test_no_run_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        BrokenRunError, match="^there is no run under 'runs'; 'interp demo' or 'interp train' makes one"
    ):
        runs_of([])


def test_runs_that_differ_in_their_seeds_only_are_alike(here: Path) -> None:
    one, other = runs_of(["one", "other"])
    first, second = runs_of(["mixed"])
    assert [names(runs) for runs in alike([one, first, other, second])] == [
        ["one", "other"],
        [first.name, second.name],
    ]
    assert [names(runs) for runs in alike([other, one])] == [["other", "one"]], "in the order asked for"
    data = Run(one.path, other.config.model_copy(update={"data_seed": 7}))
    assert len(alike([one, data])) == 1
    train = one.config.train.model_copy(update={"steps": 2})
    longer = Run(one.path, one.config.model_copy(update={"train": train}))
    assert len(alike([one, longer])) == 2
    assert alike([]) == []
