"""Training: what it learns, that it is reproducible to the bit however often it is stopped, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch

from tests.training.tiny import COPY, files, numbers, stop_at, tiny_config
from training import Progress, Run, train

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_folder_holds_what_it_should(whole: Run) -> None:
    steps = [f"checkpoints/step-{step:07d}{kind}.safetensors" for step in (4, 8, 12) for kind in (".averaged", "")]
    assert sorted(files(whole.path)) == sorted(
        ["config.json", "environment.json", "metrics.parquet", "timing.parquet", *steps]
    )
    assert [path.name for path in whole.path.parent.iterdir()] == ["run"], "no lock and nothing unfinished beside it"
    assert whole.steps == [4, 8, 12]
    environment = json.loads((whole.path / "environment.json").read_text())
    assert environment["torch"] == torch.__version__
    assert environment["threads"] == 1


def test_metrics_have_a_row_for_each_step_weights_task_and_length(whole: Run) -> None:
    metrics = whole.metrics
    columns = ["step", "weights", "task", "length", "n", "accuracy", "stderr", "token_accuracy", "nll"]
    assert list(metrics) == [*columns, "loss", "learning_rate", "gradient_norm"]
    keys = [(s, w, t, n) for s in (4, 8, 12) for w in ("raw", "averaged") for t in ("shift", "copy") for n in (2, 4)]
    assert list(metrics[["step", "weights", "task", "length"]].itertuples(index=False, name=None)) == keys
    assert (metrics["n"] == 8).all()
    assert metrics.drop(columns=["weights", "task"]).notna().to_numpy().all()


def test_averaged_weights_stand_beside_the_raw_ones(whole: Run) -> None:
    raw, averaged = (dict(whole.model(weights=kind).named_parameters()) for kind in ("raw", "averaged"))
    assert raw.keys() == averaged.keys()
    assert all(not torch.equal(raw[name], averaged[name]) for name in raw)
    nll = whole.metrics.pivot_table(index=["step", "task", "length"], columns="weights", values="nll")
    assert (nll["raw"] != nll["averaged"]).all()


def test_loss_falls(tmp_path: Path) -> None:
    losses: list[float] = []
    config = tiny_config(mixture=[COPY], train={"steps": 60, "batch_size": 32}, measure={"n": 1})
    train(config, tmp_path / "run", on_step=lambda progress: losses.append(progress.loss))
    assert len(losses) == 60
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_progress_is_told_after_every_step(tmp_path: Path) -> None:
    told: list[Progress] = []
    train(tiny_config(), tmp_path / "run", on_step=told.append)
    assert [(progress.step, progress.steps) for progress in told] == [(step, 12) for step in range(1, 13)]


@pytest.mark.parametrize("draw", ["example", "batch"])
def test_same_configuration_same_bytes_another_seed_others(tmp_path: Path, draw: str) -> None:
    runs = {
        name: train(tiny_config(seed=seed, train={"draw": draw}), tmp_path / name).path
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    }
    assert numbers(runs["first"]) == numbers(runs["again"])
    same = [name for name, content in numbers(runs["first"]).items() if numbers(runs["other"])[name] == content]
    assert same == []


def test_a_finished_run_is_found_and_not_trained_again(whole: Run) -> None:
    before = files(whole.path)
    found = train(whole.config, whole.path, on_step=stop_at(1))
    assert found.config == whole.config
    assert files(whole.path) == before
