"""Effects kept with a run: equal to measuring them, read again without a model, and taken up where they stopped."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from analyses import HeadAblation, Journal, Running
from analyses.interventions import Intervention
from analyses.interventions.stacked import Stacked
from analyses.reuse.run_effects import Measured, run_effects
from tasks import InvalidValueError, UnknownNameError
from tests.training.tiny import COPY, SHIFT, tiny_config
from training import Run, load_run, named_generator, train

pytestmark = pytest.mark.usefixtures("one_thread")

ABLATION = HeadAblation(kind="resample", metric="accuracy")
MEASURED = Measured(length=3, n=6, seed=4)


@pytest.fixture(scope="module")
def trained(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two tasks, with an unembedding for each and two layers."""
    config = tiny_config(
        mixture=[SHIFT, COPY],
        model={"n_layers": 2, "task_heads": 2},
        train={"steps": 2, "batch_size": 4},
        measure={"checkpoints": 2, "n": 2},
    )
    return train(config, tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """A copy of it, nothing measured yet."""
    return load_run(shutil.copytree(trained.path, tmp_path / "run"))


def kept(run: Run) -> list[str]:
    return sorted(path.name for path in (run.path / "results").iterdir())


def test_they_are_those_of_the_ablation_and_are_read_again_without_a_model(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = run.task("copy")
    found = run_effects(run, task, MEASURED, ablation=ABLATION, also=("nll", "kl"))
    direct = ABLATION.effects(
        run.model(), task, length=3, n=6, generator=named_generator(4, "ablation"), task_head=1, also=("nll", "kl")
    )
    assert [one.metric.name for one in found] == ["accuracy", "nll", "kl"]
    for one, other in zip(found, direct, strict=True):
        assert torch.equal(one.effects, other.effects)
        assert (one.about, one.sets, one.task_key, one.model) == (other.about, other.sets, task.key, other.model)
    assert found[1].effects.abs().max() > 1e-3, "numbers that could be wrong"

    monkeypatch.setattr(Run, "model", None)  # what would be called to measure anything
    again = run_effects(run, task, MEASURED, ablation=ABLATION, also=("nll", "kl"))
    assert all(torch.equal(one.effects, other.effects) for one, other in zip(found, again, strict=True))
    assert [name.partition("-")[0] for name in kept(run)] == ["effects"]


@pytest.mark.parametrize(
    "other",
    [
        {"n": 5},
        {"length": 2},
        {"seed": 5},
        {"step": 1},
        {"weights": "raw"},
        {"ablation": HeadAblation(kind="zero")},
        {"task": "shift"},
        {"also": ("nll",)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_question_is_another_file(run: Run, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]) -> None:
    def ask(task: str = "copy", ablation: HeadAblation = ABLATION, also: Sequence[str] = (), **changed: Any) -> None:
        run_effects(run, run.task(task), replace(MEASURED, **changed), ablation=ablation, also=also)

    ask()
    before = kept(run)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "model", None)
        ask()
        with pytest.raises(TypeError):
            ask(**other)
    ask(**other)
    assert len(kept(run)) == len(before) + 1


def test_the_last_step_by_its_number_is_the_last_step(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run_effects(run, run.task("copy"), MEASURED, ablation=ABLATION)
    monkeypatch.setattr(Run, "model", None)
    run_effects(run, run.task("copy"), replace(MEASURED, step=2), ablation=ABLATION)


@pytest.mark.parametrize("own", [False, True], ids=["beside the result", "a journal of one's own"])
def test_an_interrupted_measurement_goes_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    task, real, stacks = run.task("copy"), Stacked.logits, []
    (direct,) = ABLATION.effects(
        run.model(), task, length=3, n=6, generator=named_generator(4, "ablation"), task_head=1
    )
    place = tmp_path / "own.journal"
    running = Running(journal=Journal(place)) if own else Running()

    def counted(self: Stacked, stack: Sequence[Intervention]) -> Tensor:
        if len(stacks) == 1:
            raise KeyboardInterrupt
        stacks.append(len(stack))
        return real(self, stack)

    monkeypatch.setattr(Stacked, "logits", counted)
    with pytest.raises(KeyboardInterrupt):
        run_effects(run, task, MEASURED, ablation=ABLATION, running=running)
    journals = [place] if own else list((run.path / "results").glob("effects-copy-*.journal"))
    assert [path.is_file() for path in journals] == [True]
    stacks[:] = [0, 0]  # from now on all may run
    (found,) = run_effects(run, task, MEASURED, ablation=ABLATION, running=running)
    assert sum(stacks) == 2, "the heads of one layer were measured before, those of the other now"
    assert torch.equal(found.effects, direct.effects)
    assert not journals[0].exists()
    assert [Path(name).suffix for name in kept(run)] == [".parquet"]


def test_progress_is_told(run: Run) -> None:
    seen: list[tuple[int, int]] = []
    running = Running(on_done=lambda done, total: seen.append((done, total)))
    run_effects(run, run.task("copy"), MEASURED, ablation=ABLATION, running=running)
    assert seen
    assert seen[-1][0] == seen[-1][1]


def test_refused(run: Run) -> None:
    task = run.task("copy")
    with pytest.raises(UnknownNameError, match="^unknown metric 'loss'; the metrics are accuracy, "):
        run_effects(run, task, MEASURED, ablation=HeadAblation(metric="loss"))
    with pytest.raises(UnknownNameError, match="^unknown metric 'loss'; the metrics are accuracy, "):
        run_effects(run, task, MEASURED, ablation=ABLATION, also=["loss"])
    with pytest.raises(UnknownNameError, match="^unknown weights 'mean'; run '.*' has raw, averaged$"):
        run_effects(run, task, replace(MEASURED, weights="mean"), ablation=ABLATION)
    with pytest.raises(InvalidValueError, match="^run '.*' has no checkpoint of step 7; it has 1, 2$"):
        run_effects(run, task, replace(MEASURED, step=7), ablation=ABLATION)
    with pytest.raises(InvalidValueError, match="^kind 'mean' of one example would put the .* use n >= 2, or"):
        run_effects(run, task, replace(MEASURED, n=1), ablation=HeadAblation())
    with pytest.raises(InvalidValueError, match="^length 0 is not possible for task 'copy'; allowed are 1 to"):
        run_effects(run, task, replace(MEASURED, length=0), ablation=ABLATION)
    assert not (run.path / "results").exists()
